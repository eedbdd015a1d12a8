"""What a task is, in four contracts: which columns it reads, how rows become features, which head
learns from them, and what the head's outputs say about a row.

A task is one class that holds all four (`hfcli.tasks.base.Task`). Whoever calls it asks what it
can do, never which one it is. Rows arrive as a `datasets.Dataset` whose column `ORIGIN`, where
present, is "file:line" of each row, so that an error can point at it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hfcli.tasks.prepared import Feature, Features, Overflow, Prepared, Tools

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

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


class Columns(ABC):
    """Which columns the data must have, and which rows can be used."""

    first_key: ClassVar[str] = "text_column"  # that names a column no other key does
    how_to_name: ClassVar[str] = (
        "set {key} to the right one; if the file has no header line, name its columns with {names}"
    )

    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Columns that the data must have, the text first."""

    def more_columns(self) -> tuple[str, ...]:
        """Columns that are read where the data has them."""
        return ()

    def stratify_by(self) -> str | None:
        """Column whose shares a random split must keep, or None."""
        return None

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

    def row_text(self, row: dict[str, Any]) -> str:
        """The text of a row, for people who look for mistakes."""
        return str(row[self.columns()[0]])


class Encode(ABC):
    """How rows become features: plain dicts of token lists, and batches of tensors."""

    padding_side: ClassVar[Literal["left", "right"]] = "right"
    overflows: ClassVar[tuple[Overflow, ...]] = ("truncate", "drop", "error")

    def fit_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Set what the task wants of a tokenizer, before anything is encoded.

        Raises:
            DataError: a file that the task names cannot be read.
        """
        tokenizer.padding_side = self.padding_side

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

    @abstractmethod
    def show(self, feature: Feature, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, bool]]:
        """A training feature as text, in parts; True for the parts that are learned."""

    @abstractmethod
    def collate(self, features: Sequence[Feature], pad_token_id: int) -> dict[str, Tensor]:
        """Pad features on the right into input_ids, labels and what else the model reads."""


class Head(ABC):
    """Which head of a model learns, and by which loss."""

    head_suffixes: ClassVar[tuple[str, ...]]  # how transformers' class names for the task end
    generates: ClassVar[bool] = False  # whether its models write text

    @abstractmethod
    def auto_class(self) -> Any:
        """The transformers auto class that loads a model for this task."""

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

    def label_names(self, model: PreTrainedModel) -> list[str] | None:
        """Label names in the order of their indices, where the task has labels."""
        return None

    def smooths_labels(self) -> bool:
        """Whether label smoothing is defined for what is learned."""
        return True

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


class Score(ABC):
    """What the head's outputs say about each row, and which metrics read that."""

    has_units: ClassVar[bool] = False  # whether a row has several labels in order, one a unit
    tokens_at_once: ClassVar[int | None] = None  # most of a scoring batch; None: any number

    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of the shipped metrics that are computed by default."""

    def eval_metrics(self) -> tuple[str, ...]:
        """Those of `hfcli eval`, which may take longer and be lists."""
        return self.metrics()

    @abstractmethod
    def reduce(self, logits: Tensor, labels: Tensor) -> Reduced:
        """Shrink the logits of a batch to a few numbers a row, so that they can be kept."""

    @abstractmethod
    def outcomes(self, prepared: Prepared, reduced: Reduced) -> Iterator[dict[str, Any]]:
        """What came of every row that was scored, in order: its `origin`, and gold, prediction
        and probabilities, or nll and what it is counted by.
        """

    def describe_scoring(self, tools: Tools) -> dict[str, Any]:
        """How rows are scored, where there is more than one way, for the report."""
        return {}

    @abstractmethod
    def scores(self, prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Scores:
        """Put the reduced rows of all batches, in input order, together."""
