"""Each speed-up, and why it is on or off on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hfcli.fast import SPEED_UPS
from hfcli.fast.protocol import SpeedUp
from hfcli.results import SpeedUp as Described

UNKNOWN = "torch cannot be used"


def described_speed_ups(verdicts: Mapping[str, Any] | None) -> list[Described]:
    """Return every speed-up.

    Args:
        verdicts: of `measured_speed_ups`; None: torch cannot be used.
    """
    found = []
    for one in SPEED_UPS:
        on, why = (verdicts or {}).get(_switch(one), (None, UNKNOWN))
        found.append(Described(one.name, one.help, _switch(one), on, why))
    return found


def measured_speed_ups() -> dict[str, tuple[bool, str]]:
    """Return of each speed-up, by its switch, whether it works here, and why. Needs torch."""
    from hfcli.device import resolve_device

    kind = resolve_device("auto").device.type
    reasons = {_switch(one): (one, one.refusal(kind)) for one in SPEED_UPS}
    return {
        switch: (reason is None, one.scope if reason is None else reason)
        for switch, (one, reason) in reasons.items()
    }


def _switch(one: SpeedUp) -> str:
    if one.stage == "training":
        return f"training.disable_optimizations: [{one.name}]"
    return f"--without {one.name}"
