"""The runs of a sweep, done or planned. Frozen; nothing is computed here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hfcli.results.training import PlanResult

State = Literal["unfinished", "done", "failed"]


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Args:
        name: of its folder.
        values: key -> value of what is swept.
        metrics: scores of the saved model on the validation split.
        seconds: time of the training loop.
        error, exit_code: of a run that failed: what `hfcli finetune` would have said.
    """

    name: str
    folder: str
    values: dict[str, Any]
    state: State = "unfinished"
    metrics: dict[str, float | None] = field(default_factory=dict)
    steps: int | None = None
    seconds: float | None = None
    error: str | None = None
    exit_code: int | None = None


@dataclass(frozen=True)
class SeedGroup:
    """Runs that differ in their seed only.

    Args:
        values: what they share of what is swept.
        n: those of them that are done and have the metric.
        mean: of the metric; None without such a run.
        sd: sample standard deviation (n - 1); None for fewer than two.
    """

    values: dict[str, Any]
    n: int
    mean: float | None
    sd: float | None


@dataclass(frozen=True)
class SweepResult:
    """A sweep, as `sweep.json` and `--json` have it.

    Args:
        output_dir: its folder.
        metric: what the runs are sorted by: metric_for_best_model, else loss.
        keys: what is swept.
        runs: best first; with seeds, the group with the best mean first. Those without the metric
            come last.
        groups: in the same order; none where no seed is swept.
    """

    output_dir: str
    metric: str
    higher_is_better: bool
    keys: list[str]
    runs: list[SweepRun]
    groups: list[SeedGroup] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class PlannedRun:
    """What a run of a sweep would be; `plan` is None where it would fail with `error`."""

    name: str
    values: dict[str, Any]
    plan: PlanResult | None = None
    error: str | None = None
    exit_code: int | None = None


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep would be (`--sweep` with `--dry-run`).

    Args:
        seconds: predicted time of all runs together.
        peak_memory: of the largest, in bytes; None where it cannot be predicted.
    """

    output_dir: str
    keys: list[str]
    runs: list[PlannedRun]
    seconds: float
    peak_memory: int | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
