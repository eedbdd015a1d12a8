"""Each speed-up, and why it is on or off on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from hfcli.errors import RunError
from hfcli.fast.bfloat16 import LARGE, SWITCHES
from hfcli.results import SpeedUp

# The parts of `training.plain`; `hfcli.fast.training` and `hfcli.fast.training.optimizer` are them.
TRAINING = {
    "memory": "freed memory stays with the process",
    "activation": "the tanh form of GELU in one operation",
    "dropout": "one random number for four elements",
    "attention": "dropout within the operation of attention",
    "optimizer": "rows of the word embedding that never occurred are left out of steps",
}
UNKNOWN = "torch cannot be used"
Verdict = tuple[bool, str]


def described_speed_ups(verdicts: Mapping[str, Any] | None) -> list[SpeedUp]:
    """Return every speed-up.

    Args:
        verdicts: of `measured_speed_ups`; None: torch cannot be used.
    """
    found = []
    for name, what in SWITCHES.items():
        on, why = (verdicts or {}).get(name, (None, UNKNOWN))
        found.append(SpeedUp(name, what, f"--without {name}", on, why))
    for name, what in TRAINING.items():
        on, why = (verdicts or {}).get(f"training.{name}", (None, UNKNOWN))
        found.append(SpeedUp(name, what, f"training.plain: [{name}]", on, why))
    return found


def measured_speed_ups() -> dict[str, Verdict]:
    """Return of each speed-up whether it is on here, and why. Needs torch."""
    from hfcli.device import resolve_device
    from hfcli.fast.memory import keep_freed_memory

    kind = resolve_device("auto").device.type
    elsewhere = f"models run on {kind} here" if kind != "cpu" else None
    training = {name: _on_cpu(elsewhere, "training runs on the CPU") for name in TRAINING}
    if elsewhere is None and not keep_freed_memory():
        training["memory"] = (False, "the C library has no such switch: only glibc has")
    training["activation"] = _on_cpu(elsewhere, "for models with this activation, such as GPT-2")
    training["attention"] = _on_cpu(elsewhere, "for models with dropout in their attention")
    return {
        "lean-start": _lean_start(elsewhere),
        "forward": _forward(elsewhere),
        "prepack": _prepack(elsewhere),
        "guesses": (True, "for a single text"),
        "bfloat16": _bfloat16(elsewhere),
        "gguf-cache": _gguf_cache(),
        **{f"training.{name}": verdict for name, verdict in training.items()},
    }


def _on_cpu(elsewhere: str | None, why: str) -> Verdict:
    return (True, why) if elsewhere is None else (False, elsewhere)


def _lean_start(elsewhere: str | None) -> Verdict:
    import torch

    if elsewhere is None and not torch.distributed.is_available():
        return False, "this torch was built without distributed tensors"
    return _on_cpu(elsewhere, "the CPU is the only device")


def _forward(elsewhere: str | None) -> Verdict:
    from hfcli.fast.decoders import ARCHITECTURES

    return _on_cpu(elsewhere, f"for models of the types {' and '.join(ARCHITECTURES)}")


def _prepack(elsewhere: str | None) -> Verdict:
    import torch

    from hfcli.fast.linear import SMALLEST

    has_onednn: Any = torch.backends.mkldnn.is_available
    if elsewhere is None and not has_onednn():
        return False, "this torch was built without oneDNN"
    return _on_cpu(elsewhere, f"for models of {SMALLEST // 2**20} MiB and more")


def _bfloat16(elsewhere: str | None) -> Verdict:
    from hfcli.fast.bfloat16 import bfloat16_wins

    return (False, elsewhere) if elsewhere is not None else bfloat16_wins(LARGE)


def _gguf_cache() -> Verdict:
    from hfcli.cache import open_cache

    try:
        folder = open_cache()
    except RunError as e:
        return False, e.message
    if not os.access(folder, os.W_OK):
        return False, "the cache cannot be written"
    return True, "the cache can be written"
