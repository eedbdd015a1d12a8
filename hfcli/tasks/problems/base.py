"""What a problem type must say: how label cells are read, what is learned and how it is scored.

Knows nothing about texts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hfcli.errors import ModelError
from hfcli.tasks.base import LossFunction, Reduced, Scores
from hfcli.tasks.labels import Names, declared_names, read_cells, sorted_names
from hfcli.tasks.losses import LossOptions

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Label:
    """The label of a row.

    Args:
        target: what is learned: an index, 0.0 or 1.0 for each label, or a number.
        names: label names, none where the label is a number.
        text: for people.
    """

    target: int | float | list[float]
    names: Names
    text: str


@dataclass(frozen=True)
class Problem(ABC):
    """One problem type.

    Args:
        separator: stands between labels in a text, where there may be several.
    """

    separator: str = "|"

    name: ClassVar[str]  # transformers' problem_type
    stratified: ClassVar[bool] = False  # whether a split can keep the shares of the labels
    smoothed: ClassVar[bool] = False  # whether label smoothing is defined
    named: ClassVar[bool] = True  # whether labels have names, and so weights and a focal loss
    several: ClassVar[bool] = False  # whether a row can have more than one
    metrics: ClassVar[tuple[str, ...]]
    more_metrics: ClassVar[tuple[str, ...]] = ()  # of `hfcli eval`

    @abstractmethod
    def read(self, cell: Any) -> Any:
        """Names or a number; raises `BadLabel`."""

    @abstractmethod
    def config(self, rows: Dataset, column: str) -> dict[str, Any]:
        """Labels of a model's configuration."""

    @abstractmethod
    def labels(
        self, rows: Dataset, column: str, known: Sequence[str]
    ) -> Iterator[tuple[str, Label]]:
        """(origin, label) of every row, by the label names that the model knows.

        Raises:
            DataError: a cell that cannot be read, or a label the model does not have.
        """

    @abstractmethod
    def tensor(self, targets: Sequence[Any]) -> Tensor:
        """The targets of a batch."""

    def balanced(self, counts: Mapping[str, int], n_rows: int) -> list[float]:
        """Weights of the labels that make rare and frequent ones count alike."""
        raise NotImplementedError

    @abstractmethod
    def loss(self, options: LossOptions) -> LossFunction:
        """What is learned from."""

    @abstractmethod
    def reduce(self, logits: Tensor, labels: Tensor) -> Reduced:
        """The numbers of each row that `scores` needs, in float64."""

    @abstractmethod
    def outcome(self, target: Any, row: tuple[float, ...], names: Sequence[str]) -> dict[str, Any]:
        """What came of a row, by label names: gold, prediction, and what the latter is from."""

    @abstractmethod
    def scores(
        self, targets: Sequence[Any], reduced: Sequence[tuple[float, ...]], names: list[str] | None
    ) -> Scores:
        """Loss and metric inputs of all rows."""


def label_config(problem: Problem, names: Sequence[str]) -> dict[str, Any]:
    """A configuration's values for these labels."""
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
        "problem_type": problem.name,
    }


def distinct_names(rows: Dataset, column: str, problem: Problem) -> list[str]:
    """Label names in a stable order: the data set's own, else sorted, whole numbers by value."""
    used = {name for _, names in read_cells(rows, column, problem.read) for name in names}
    return declared_names(rows, column) or sorted_names(used)


def check_model(problem: Problem, model: PreTrainedModel) -> None:
    """Make sure that a model is not read as what it was not trained for.

    Raises:
        ModelError: its configuration names another problem type.
    """
    config = model.config
    told = config.problem_type or ("regression" if config.num_labels == 1 else None)
    if told is not None and told != problem.name:
        raise ModelError(
            f"the model was trained for {told}, and task.problem_type is {problem.name}",
            hint=f"set task.problem_type to {told}",
        )


def as_rows(values: Tensor) -> Reduced:
    """A (rows, numbers) tensor as plain numbers."""
    return [tuple(row) for row in values.tolist()]
