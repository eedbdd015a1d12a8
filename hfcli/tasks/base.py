"""What a task must say: its columns, its auto class, how rows become tensors, how logits become
scores. It knows nothing about files, recipes, trainers or terminals.

Rows arrive as a `datasets.Dataset` whose column `ORIGIN`, where present, says "file:line" of each
row, so that an error can point at it. Features are plain dicts of token lists; `collate` makes
the tensors of a batch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from hfcli.tasks.prepared import (
    IGNORE,
    ORIGIN,
    Feature,
    Features,
    Overflow,
    Prepared,
    RowCounts,
    Tools,
    context_length,
    pad_right,
)

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "IGNORE", "ORIGIN", "Feature", "Features", "LossFunction", "Overflow", "Prepared", "Reduced",
    "RowCounts", "Scores", "Task", "Tools", "context_length", "origin_of", "pad_right",
]  # fmt: skip

LossFunction = Callable[..., "Tensor"]
Reduced = list[tuple[float, ...]]


@dataclass(frozen=True)
class Scores:
    """What a pass over prepared rows gave.

    Args:
        loss: mean over scored tokens or rows, each weighing the same: negative log-likelihood in
            nats, or squared error.
        inputs: argument name -> list, what the task's metrics read.
        options: further arguments that some metrics take, such as the label indices.
        labels: label names in the order of their indices, where the task has labels.
    """

    loss: float
    inputs: dict[str, list[Any]]
    options: dict[str, Any] = field(default_factory=dict)
    labels: list[str] | None = None


class Task(BaseModel):
    """The contract; one file a task, and its name in the union in `hfcli.tasks`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: str
    padding_side: ClassVar[Literal["left", "right"]] = "right"
    head_suffixes: ClassVar[tuple[str, ...]]  # how transformers' class names for the task end
    overflows: ClassVar[tuple[Overflow, ...]] = ("truncate", "drop", "error")
    generates: ClassVar[bool] = False  # whether its models write text
    first_key: ClassVar[str] = "text_column"  # that names a column no other key does
    how_to_name: ClassVar[str] = (
        "set {key} to the right one; if the file has no header line, name its columns with {names}"
    )
    tokens_at_once: ClassVar[int | None] = None  # most of a scoring batch; None: any number

    try_next: ClassVar[tuple[str, ...]] = ("hfcli eval {folder}",)

    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Columns that the data must have, the text first."""

    def more_columns(self) -> tuple[str, ...]:
        """Columns that are read where the data has them."""
        return ()

    def stratify_by(self) -> str | None:
        """Column whose shares a random split must keep, or None."""
        return None

    def smooths_labels(self) -> bool:
        """Whether label smoothing is defined for what is learned."""
        return True

    def fit_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Set what the task wants of a tokenizer, before anything is encoded.

        Raises:
            DataError: a file that the task names cannot be read.
        """
        tokenizer.padding_side = self.padding_side

    def can_be_cut(self) -> bool:
        """Whether the end of every text can be held out: it must be one text and nothing more."""
        return False

    @property
    def changes_rows(self) -> bool:
        """Whether `stored` gives other values than the columns of the data."""
        return False

    def stored(self, row: dict[str, Any]) -> dict[str, Any]:
        """What is kept of a row that `check_row` found good; the other methods read that."""
        return {name: row[name] for name in self.columns()}

    @abstractmethod
    def check_row(self, row: dict[str, Any]) -> str | None:
        """Why a row, which has all columns, cannot be used (without where it stands), or None."""

    def texts(self, rows: Dataset) -> Iterator[str]:
        """All text, for a tokenizer that is trained from scratch."""
        for start in range(0, len(rows), 1000):
            yield from rows[start : start + 1000][self.columns()[0]]

    @abstractmethod
    def auto_class(self) -> Any:
        """The transformers auto class that loads a model for this task."""

    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of the shipped metrics that are computed by default."""

    def eval_metrics(self) -> tuple[str, ...]:
        """Those of `hfcli eval`, which may take longer and be lists."""
        return self.metrics()

    @classmethod
    def settings_of(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of the task that the configuration of a trained model tells."""
        return {}

    def config_overrides(self, train: Dataset) -> dict[str, Any]:
        """Configuration values that the training rows determine, such as the labels."""
        return {}

    def reject_missing_weights(self, missing: Sequence[str]) -> str | None:
        """Why a checkpoint that lacks these weights cannot be evaluated as it is, or None."""
        return f"it lacks the weights {', '.join(missing[:3])}" if missing else None

    @abstractmethod
    def encode(self, rows: Dataset, tools: Tools, *, train: bool) -> Iterator[Feature]:
        """Tokenize and label rows, for training or for scoring; `tools.counts` is filled.

        Every feature has `input_ids`, `labels` and `origin`.

        Raises:
            DataError: a label the model does not have, or a row that is too long.
        """

    def arrange(
        self, features: Features, lengths: Sequence[int], tools: Tools
    ) -> tuple[Features, Sequence[int]]:
        """Put encoded training features together, such as several in one; and their lengths."""
        return features, lengths

    def label_names(self, model: PreTrainedModel) -> list[str] | None:
        """Label names in the order of their indices, where the task has labels."""
        return None

    @abstractmethod
    def show(self, feature: Feature, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, bool]]:
        """A training feature as text, in parts; True for the parts that are learned."""

    @abstractmethod
    def collate(self, features: Sequence[Feature], pad_token_id: int) -> dict[str, Tensor]:
        """Pad features on the right into input_ids, labels and what else the model reads."""

    def loss_function(
        self, *, labels: Mapping[str, int], n_rows: int, label_smoothing: float
    ) -> LossFunction | None:
        """`(outputs, labels, num_items_in_batch) -> loss` for Trainer; None: the model's own.

        Args:
            labels: training rows of each label, in the order of their indices.
            n_rows: training rows.
            label_smoothing: TrainingArguments' label_smoothing_factor.
        """
        return None

    @abstractmethod
    def reduce(self, logits: Tensor, labels: Tensor) -> Reduced:
        """Shrink the logits of a batch to a few numbers a row, so that they can be kept."""

    @abstractmethod
    def outcomes(self, prepared: Prepared, reduced: Reduced) -> Iterator[dict[str, Any]]:
        """What came of every row that was scored, in order: its `origin`, and gold, prediction
        and probabilities, or nll and what it is counted by.
        """

    def row_text(self, row: dict[str, Any]) -> str:
        """The text of a row, for people who look for mistakes."""
        return str(row[self.columns()[0]])

    def describe_scoring(self, tools: Tools) -> dict[str, Any]:
        """How rows are scored, where there is more than one way, for the report."""
        return {}

    @abstractmethod
    def scores(self, prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Scores:
        """Put the reduced rows of all batches, in input order, together."""


def origin_of(batch: dict[str, list[Any]], i: int, number: int) -> str:
    """Where row `i` of a batch stands: file and line, or its number in the split."""
    return str(batch[ORIGIN][i]) if ORIGIN in batch else f"row {number}"
