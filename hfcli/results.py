"""What a run tells while it goes (events) and when it is done (results). Frozen; no behaviour.

Work functions hand events to a `Listener` and return a result; only `hfcli.render` turns either
into text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Note:
    """A sentence the user should read: a choice made for them, rows shortened or left out."""

    text: str


@dataclass(frozen=True)
class TrainingStarted:
    """The run is about to take its first step; `done` is above 0 on a resume."""

    total_steps: int
    done: int
    train_rows: int
    trainable_parameters: int


@dataclass(frozen=True)
class StepDone:
    """An optimizer step is over; `loss` and `learning_rate` only at logging steps."""

    step: int
    total_steps: int
    tokens_per_second: float
    loss: float | None = None
    learning_rate: float | None = None


@dataclass(frozen=True)
class Evaluated:
    """Scores of the validation split at a step."""

    step: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class SampleWritten:
    """What the model in training wrote after one of the recipe's prompts."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True)
class RowsScored:
    """Rows done of an evaluation."""

    done: int
    total: int


@dataclass(frozen=True)
class TextPiece:
    """The next piece of generated text, raw; it may hold anything a model can emit."""

    text: str


@dataclass(frozen=True)
class TextsDone:
    """Where a bulk run stands.

    Args:
        texts: finished ones, those of an earlier run included.
        total: how many there will be, where that is known.
        tokens_per_second: of this run.
        errors: rows that failed.
    """

    texts: int
    total: int | None
    tokens_per_second: float
    errors: int


Event = (
    TextsDone
    | SampleWritten
    | Note
    | TrainingStarted
    | StepDone
    | Evaluated
    | RowsScored
    | TextPiece
)
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class GenerateResult:
    """One generated text.

    Args:
        finish_reason: `stop` (the model ended the text), `stop_string` or `length`.
        seconds: time of the generation of all samples, without loading the model.
        revision: commit of a Hub model, else None.
        sample: which one of several, from 0.
        logprobs: one dict a token (token, id, logprob, top), where asked for.
        acceptance_rate: share of the guessed tokens that stood, where tokens were guessed.
    """

    prompt: str
    text: str
    finish_reason: str
    n_prompt_tokens: int
    n_new_tokens: int
    seconds: float
    tokens_per_second: float
    model: str
    revision: str | None
    seed: int
    settings: dict[str, Any]
    sample: int = 0
    logprobs: list[dict[str, Any]] | None = None
    acceptance_rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class BulkResult:
    """A finished bulk run.

    Args:
        rows: input rows.
        texts: output records, failed ones included.
        errors: failed ones.
        resumed: texts that an earlier, interrupted run had finished.
        n_new_tokens: tokens of the texts of this run.
        computed_per_token: tokens the model was run on, prompts included, for every token of
            prompts and texts: 1 when nothing was computed in vain.
        seconds: time of this run without loading the model.
    """

    output: str
    rows: int
    texts: int
    errors: int
    resumed: int
    n_prompt_tokens: int
    n_new_tokens: int
    computed_per_token: float
    seconds: float
    tokens_per_second: float
    batch_size: int
    model: str
    revision: str | None
    acceptance_rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class FinetuneResult:
    """A finished training run.

    Args:
        train_loss: mean loss since the logging step before the last; None without one.
        metrics: scores of the saved model on the validation split; None where not defined.
        seconds: time of the training loop.
        labels: label names in the order of their indices, where the task has labels.
        confusion_matrix: of the validation split; rows are true labels, in that order.
        data: what became of the rows of each split; see `hfcli.tasks.prepared.RowCounts`.
        try_next: commands that use the model, with `{folder}` where its folder goes.
    """

    task: str
    model: str
    revision: str | None
    output_dir: str
    steps: int
    epochs: float
    train_rows: int
    train_loss: float | None
    metrics: dict[str, float | None]
    tokens_seen: int
    seconds: float
    seed: int
    device: str
    bf16: bool
    labels: list[str] | None = None
    confusion_matrix: list[list[int]] | None = None
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    try_next: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Example:
    """A training row as the model will see it.

    Args:
        origin: where it comes from.
        parts: its text in parts; True for the parts that are learned.
    """

    origin: str
    parts: list[tuple[str, bool]]


@dataclass(frozen=True)
class PlanResult:
    """What a training run would be (`--dry-run`).

    Args:
        rows_per_step: rows of an optimizer step.
        train_rows: rows the model is fed with, after packing and splitting.
        tokens_per_epoch: without padding.
        padding_share: of the tokens that are computed, how many are padding.
        longest_batch: rows and tokens of the largest batch.
        data: what becomes of the rows of each split.
        seconds: predicted time of the run.
        peak_memory: predicted, in bytes; None where it cannot be predicted.
        cached: whether the rows were found encoded.
    """

    task: str
    model: str
    revision: str | None
    device: str
    bf16: bool
    steps: int
    epochs: float
    rows_per_step: int
    train_rows: int
    tokens_per_epoch: int
    padding_share: float
    longest_batch: tuple[int, int]
    data: dict[str, dict[str, Any]]
    parameters: int
    trained_parameters: int
    seconds: float
    cached: bool
    examples: list[Example]
    peak_memory: int | None = None
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class EvalResult:
    """Scores of a model on a split.

    Args:
        n_rows: rows that were scored.
        n_skipped: rows that were not (empty, or left out for their length).
        metrics: name -> value; lists are in the order of `labels`, and of a matrix the rows are
            true labels.
        intervals: metric -> low, high and method, where there is one.
        seconds: time of the scoring without loading the model.
        output_dir: where predictions and report are.
        weights_sha256: of the model by content.
        data_sha256: of the rows by content.
        settings: everything else that can change a prediction.
    """

    task: str
    model: str
    revision: str | None
    data: str
    split: str
    n_rows: int
    n_skipped: int
    metrics: dict[str, Any]
    intervals: dict[str, dict[str, Any]]
    seconds: float
    device: str
    output_dir: str
    weights_sha256: str
    data_sha256: str
    settings: dict[str, Any]
    versions: dict[str, str]
    created: str
    command: str
    labels: list[str] | None = None
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_report(self) -> dict[str, Any]:
        """As report.json has it: every score with its interval, lists under names of their own."""
        lists = {name: value for name, value in self.metrics.items() if isinstance(value, list)}
        names = ("precision", "recall", "f1", "support")
        columns = [lists.get(f"{name}_per_class") for name in names]
        per_class = {
            label: {
                name: int(column[i]) if name == "support" else column[i]
                for name, column in zip(names, columns, strict=True)
                if column is not None
            }
            for i, label in enumerate(self.labels or ())
        }
        return {
            **{name: value for name, value in self.to_dict().items() if name in REPORTED},
            "metrics": {
                name: {"value": value, **self.intervals[name]} if name in self.intervals else value
                for name, value in self.metrics.items()
                if name not in lists
            },
            "per_class": per_class if all(column is not None for column in columns) else None,
            "confusion_matrix": lists.get("confusion_matrix"),
            "reliability": lists.get("reliability"),
        }


REPORTED = {
    "task", "model", "revision", "weights_sha256", "data", "data_sha256", "split", "n_rows",
    "n_skipped", "labels", "settings", "versions", "created", "command", "seconds", "notes",
}  # fmt: skip


@dataclass(frozen=True)
class MergeResult:
    """An adapter that was merged into its base.

    Args:
        adapter, base: what the user and the adapter call them.
        parameters: of the whole model.
        try_next: commands that use the model, with `{folder}` where its folder goes.
    """

    output: str
    adapter: str
    base: str
    task: str
    dtype: str
    parameters: int
    try_next: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class PushResult:
    """A folder that was uploaded.

    Args:
        files: paths in the repository, sorted.
        n_bytes: of all files together.
    """

    url: str
    repo_id: str
    private: bool
    files: list[str]
    n_bytes: int
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class MetricDifference:
    """A metric of two runs on the same rows.

    Args:
        a, b: its values; None where it is not defined.
        difference: b - a.
        low, high: 95 % interval of the difference; None where there is none.
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
