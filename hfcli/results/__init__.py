"""What a run tells while it goes (events) and when it is done (results). Frozen; no behaviour.

Work functions hand events to a `Listener` and return a result; only `hfcli.render` turns either
into text. One file a kind; all of them are imported from here.
"""

from __future__ import annotations

from hfcli.results.comparison import CompareResult, Comparison, Flip, MetricDifference
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
from hfcli.results.training import Example, FinetuneResult, PlanResult

__all__ = [
    "BulkResult",
    "Choice",
    "CompareResult",
    "Comparison",
    "EvalResult",
    "Evaluated",
    "Event",
    "Example",
    "FinetuneResult",
    "Flip",
    "GenerateResult",
    "Listener",
    "MergeResult",
    "MetricDifference",
    "Note",
    "PlanResult",
    "PushResult",
    "RowsScored",
    "SampleWritten",
    "StepDone",
    "TextPiece",
    "TextsDone",
    "TrainingStarted",
]
