"""A number: squared error, whose mean is the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hfcli.tasks.base import LossFunction, Reduced, Scores
from hfcli.tasks.labels import number, read_cells
from hfcli.tasks.losses import LossOptions, make_loss, squared_error
from hfcli.tasks.problems.base import Label, Problem, as_rows, label_config

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

# Trainer counts labels of -100 as absent, which would change what the loss is divided by; this is
# the float32 beside it.
NEXT_TO_IGNORE = -100.00000762939453


class Regression(Problem):
    """A number."""

    name = "regression"
    named = False
    metrics = ("mse", "rmse", "mae", "r2", "pearson", "spearman")

    def read(self, cell: Any) -> float:
        return number(cell)

    def config(self, rows: Dataset, column: str) -> dict[str, Any]:
        return label_config(self, [column])

    def labels(
        self, rows: Dataset, column: str, known: Sequence[str]
    ) -> Iterator[tuple[str, Label]]:
        for origin, value in read_cells(rows, column, self.read, named=False):
            yield origin, Label(value, (), f"{value:g}")

    def tensor(self, targets: Sequence[Any]) -> Tensor:
        import torch

        values = torch.tensor([float(target) for target in targets])
        return values.where(values != -100, torch.tensor(NEXT_TO_IGNORE))

    def loss(self, options: LossOptions) -> LossFunction:
        return make_loss(squared_error)

    def reduce(self, logits: Tensor, labels: Tensor) -> Reduced:
        return as_rows(logits.cpu().double())

    def outcome(self, target: Any, row: tuple[float, ...], names: Sequence[str]) -> dict[str, Any]:
        return {"gold": float(target), "prediction": row[0]}

    def scores(
        self, targets: Sequence[Any], reduced: Sequence[tuple[float, ...]], names: list[str] | None
    ) -> Scores:
        predictions = [row[0] for row in reduced]
        references = [float(target) for target in targets]
        errors = [(p - r) ** 2 for p, r in zip(predictions, references, strict=True)]
        return Scores(
            loss=sum(errors) / len(errors),
            inputs={"predictions": predictions, "references": references},
        )
