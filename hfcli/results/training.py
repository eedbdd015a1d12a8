"""A finished training run, and the plan of one. Frozen; nothing is computed here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


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
