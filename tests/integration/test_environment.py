"""The speed-ups that `hfcli env` knows are all that there are."""

from __future__ import annotations

from hfcli.environment.speedups import described_speed_ups, measured_speed_ups
from hfcli.fast import SPEED_UPS


def test_every_speed_up_has_a_verdict() -> None:
    described = described_speed_ups(measured_speed_ups())
    assert [one.name for one in described] == [one.name for one in SPEED_UPS]
    for one in described:
        assert isinstance(one.on, bool)
        assert one.why
