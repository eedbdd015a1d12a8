"""Runs compared on the same rows. Frozen; nothing is computed here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class MetricDifference:
    """A metric of two runs on the same rows.

    Args:
        a, b: its values; None where it is not defined.
        difference: b - a.
        low, high: 95 % interval of the difference; None where there is none.
        interval: how it was computed, or why there is none.
        p: two-sided; None where there is none, and `test` says why.
        p_holm: adjusted for all tests of the comparison.
        test: what p comes from.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    interval: str
    p: float | None
    p_holm: float | None
    test: str


@dataclass(frozen=True)
class Flip:
    """A row that one run got right and the other wrong.

    Args:
        text: its beginning, as the predictions hold it.
        a, b: what the runs predicted.
    """

    id: str
    text: str
    gold: Any
    a: Any
    b: Any


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same rows.

    Args:
        a, b: their folders.
        n_rows: rows that both scored.
        n_left_out: rows that one of them, or both, did not.
        right_by: the metric that says which rows are right; None: none does, there are no flips.
        n_only_a, n_only_b: rows that only this run got right.
        only_a, only_b: the first of them.
    """

    a: str
    b: str
    model_a: str
    model_b: str
    n_rows: int
    n_left_out: int
    metrics: list[MetricDifference]
    right_by: str | None = None
    n_only_a: int = 0
    n_only_b: int = 0
    only_a: list[Flip] = field(default_factory=list)
    only_b: list[Flip] = field(default_factory=list)


@dataclass(frozen=True)
class CompareResult:
    """Runs, each compared with the first."""

    task: str
    data: str
    data_sha256: str
    comparisons: list[Comparison]
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
