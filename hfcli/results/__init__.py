"""What a run tells while it goes (events) and when it is done (results). Frozen; no behaviour.

Work functions hand events to a `Listener` and return a result; only `hfcli.render` turns either
into text. One file a kind; all of them are imported from here.
"""

from __future__ import annotations

from hfcli.results.comparison import CompareResult, Comparison, Flip, MetricDifference
from hfcli.results.environment import (
    CheckResult,
    DeviceInfo,
    EnvironmentResult,
    Extra,
    Folder,
    Memory,
    Network,
    PackageVersion,
    Processor,
    SetVariable,
    SpeedUp,
)
from hfcli.results.evaluation import EvalResult
from hfcli.results.events import (
    Choice,
    Evaluated,
    Event,
    Listener,
    Note,
    RowsScored,
    SampleWritten,
    StepDone,
    TextPiece,
    TextsDone,
    TrainingStarted,
)
from hfcli.results.generation import BulkResult, GenerateResult
from hfcli.results.models import MergeResult, PushResult
from hfcli.results.sweep import PlannedRun, SeedGroup, SweepPlan, SweepResult, SweepRun
from hfcli.results.training import Example, FinetuneResult, PlanResult

__all__ = [
    "BulkResult",
    "CheckResult",
    "Choice",
    "CompareResult",
    "Comparison",
    "DeviceInfo",
    "EnvironmentResult",
    "EvalResult",
    "Evaluated",
    "Event",
    "Example",
    "Extra",
    "FinetuneResult",
    "Flip",
    "Folder",
    "GenerateResult",
    "Listener",
    "Memory",
    "MergeResult",
    "MetricDifference",
    "Network",
    "Note",
    "PackageVersion",
    "PlanResult",
    "PlannedRun",
    "Processor",
    "PushResult",
    "RowsScored",
    "SampleWritten",
    "SeedGroup",
    "SetVariable",
    "SpeedUp",
    "StepDone",
    "SweepPlan",
    "SweepResult",
    "SweepRun",
    "TextPiece",
    "TextsDone",
    "TrainingStarted",
]
