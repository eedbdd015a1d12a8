"""The speed-ups that `hfcli env` knows are all that there are."""

from __future__ import annotations

from typing import get_args

from hfcli.environment.speedups import TRAINING, described_speed_ups, measured_speed_ups
from hfcli.fast.bfloat16 import SWITCHES
from hfcli.fast.training import PARTS
from hfcli.fast.training.optimizer import OPTIMIZER
from hfcli.recipe.training import TrainingSection


def test_every_speed_up_has_a_verdict() -> None:
    assert set(TRAINING) == {*PARTS, OPTIMIZER}
    (known,) = get_args(TrainingSection.model_fields["plain"].annotation)
    assert set(TRAINING) == set(get_args(known))
    verdicts = measured_speed_ups()
    assert set(verdicts) == {*SWITCHES, *(f"training.{name}" for name in TRAINING)}
    for one in described_speed_ups(verdicts):
        assert isinstance(one.on, bool)
        assert one.why
