"""Speed-ups: what makes hfcli faster on the machine and versions at hand, and may step aside.

`SPEED_UPS` is where a speed-up is added; `--without`, `training.disable_optimizations`,
`hfcli env` and the docs read it. Importing this loads no heavy library.
"""

from __future__ import annotations

from hfcli.fast.batch_invariance import BatchInvariance
from hfcli.fast.bfloat16 import Bfloat16
from hfcli.fast.decoders import FusedDecoder
from hfcli.fast.linear import PrepackedWeights
from hfcli.fast.memory import RetainedMemory
from hfcli.fast.portable import ConvertedFiles, SpeculativeDecoding
from hfcli.fast.protocol import SpeedUp, Stage
from hfcli.fast.startup import DeferredImports
from hfcli.fast.training import FastAttention, FusedGelu

SPEED_UPS: tuple[SpeedUp, ...] = (
    DeferredImports(),
    FusedDecoder(),
    PrepackedWeights(),
    SpeculativeDecoding(),
    Bfloat16(),
    BatchInvariance(),
    ConvertedFiles(),
    RetainedMemory(),
    FusedGelu(),
    FastAttention(),
)
# Of earlier versions; each won less than a tenth (docs/performance.md).
REMOVED = ("dropout", "optimizer")


def names(stage: Stage) -> tuple[str, ...]:
    """Return the names of the speed-ups of a stage."""
    return tuple(one.name for one in SPEED_UPS if one.stage == stage)


def current_name(given: str, stage: Stage) -> tuple[str | None, str | None]:
    """Return the name that a given one stands for, and a line of notice.

    Args:
        given: a name of today or of an earlier version; any other is returned as it is.
        stage: of the speed-up.

    Returns:
        The name, or None where that speed-up was removed; the notice, or None.
    """
    if stage == "training" and given in REMOVED:
        return None, f"{given} was removed, so there is nothing to disable"
    for one in SPEED_UPS:
        if one.stage == stage and given in one.aliases:
            return one.name, f"{given} is called {one.name} now"
    return given, None
