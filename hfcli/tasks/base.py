"""What a task must say: its columns, its auto class, how rows become tensors, how logits become
scores. It knows nothing about files, recipes, trainers or terminals.

Rows arrive as a `datasets.Dataset` whose column `ORIGIN`, where present, says "file:line" of each
row, so that an error can point at it. Features are plain dicts of token lists; `collate` makes
the tensors of a batch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ORIGIN = "__origin__"
IGNORE = -100  # transformers' label of a position that is not scored

Feature = dict[str, Any]
LossFunction = Callable[..., "Tensor"]


@dataclass(frozen=True)
class Prepared:
    """Features ready for `collate`, and what a user should know of how they came about.

    Args:
        features: one dict a model input row.
        notes: sentences about rows that were shortened or left out.
        facts: per-document facts that the scores need, by name.
    """

    features: list[Feature]
    notes: list[str] = field(default_factory=list)
    facts: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """What a pass over prepared rows gave.

    Args:
        loss: mean negative log-likelihood in nats, a scored token or row weighing the same.
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
    default_metrics: ClassVar[tuple[str, ...]] = ()
    head_suffixes: ClassVar[tuple[str, ...]]  # how transformers' class names for the task end

    try_next: ClassVar[tuple[str, ...]] = ("hfcli eval {folder}",)

    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Columns that the data must have, the text first."""

    def stratify_by(self) -> str | None:
        """Column whose shares a random split must keep, or None."""
        return None

    @abstractmethod
    def auto_class(self) -> Any:
        """The transformers auto class that loads a model for this task."""

    def config_overrides(self, train: Dataset) -> dict[str, Any]:
        """Configuration values that the training rows determine, such as the labels."""
        return {}

    def reject_missing_weights(self, missing: Sequence[str]) -> str | None:
        """Why a checkpoint that lacks these weights cannot be evaluated as it is, or None."""
        return f"it lacks the weights {', '.join(missing[:3])}" if missing else None

    @abstractmethod
    def prepare(
        self,
        rows: Dataset,
        tokenizer: PreTrainedTokenizerBase,
        model: PreTrainedModel,
        *,
        train: bool,
    ) -> Prepared:
        """Tokenize and label rows, for training or for scoring.

        Raises:
            DataError: a label the model does not have, or nothing left to work on.
        """

    @abstractmethod
    def collate(self, features: Sequence[Feature], pad_token_id: int) -> dict[str, Tensor]:
        """Pad features on the right into input_ids, attention_mask and labels (rows, length)."""

    def loss_function(self) -> LossFunction | None:
        """`(outputs, labels, num_items_in_batch) -> loss` for Trainer; None: the model's own."""
        return None

    @abstractmethod
    def reduce(self, logits: Tensor, labels: Tensor) -> list[tuple[float, ...]]:
        """Shrink the logits of a batch to a few numbers a row, so that they can be kept."""

    @abstractmethod
    def scores(self, prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Scores:
        """Put the reduced rows of all batches, in input order, together."""


def context_length(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int:
    """Longest input in tokens: the smaller of the tokenizer's and the configuration's limit.

    Tokenizers without a limit hold a huge number; RoBERTa's configuration counts two more
    positions than can be used, which its tokenizer knows.
    """
    limits = [int(tokenizer.model_max_length)]
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        value = getattr(model.config, name, None)
        if isinstance(value, int) and value > 0:
            limits.append(value)
    return min(limits)


def pad_right(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """A (rows, longest) int64 tensor of `rows`, filled up with `value`."""
    import torch

    longest = max(len(row) for row in rows)
    out = torch.full((len(rows), longest), value, dtype=torch.long)
    for i, row in enumerate(rows):
        out[i, : len(row)] = torch.as_tensor(row, dtype=torch.long)
    return out
