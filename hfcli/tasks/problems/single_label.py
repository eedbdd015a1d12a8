"""One label of a closed set: cross-entropy. Labels are the sorted set of the training labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hfcli.errors import DataError
from hfcli.tasks.base import LossFunction, Reduced, Scores
from hfcli.tasks.labels import Names, label_indices, one_name, read_cells
from hfcli.tasks.losses import LossOptions, balanced, cross_entropy, make_loss
from hfcli.tasks.problems.base import Label, Problem, as_rows, distinct_names, label_config

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor


class SingleLabel(Problem):
    """One label of a closed set."""

    name = "single_label_classification"
    stratified = True
    smoothed = True
    metrics = (
        "accuracy", "f1_macro", "f1_weighted", "precision_macro", "precision_weighted",
        "recall_macro", "recall_weighted", "matthews_correlation", "confusion_matrix",
    )  # fmt: skip
    more_metrics = (
        "balanced_accuracy", "cohen_kappa", "auroc", "average_precision", "log_loss", "brier",
        "ece", "precision_per_class", "recall_per_class", "f1_per_class", "support_per_class",
        "reliability",
    )  # fmt: skip

    def read(self, cell: Any) -> Names:
        return one_name(cell)

    def config(self, rows: Dataset, column: str) -> dict[str, Any]:
        names = distinct_names(rows, column, self)
        if len(names) < 2:
            raise DataError(
                f"column {column!r} of the training data holds one label only ({names[0]!r})",
                hint="classification needs two labels or more",
            )
        return label_config(self, names)

    def labels(
        self, rows: Dataset, column: str, known: Sequence[str]
    ) -> Iterator[tuple[str, Label]]:
        index = label_indices(lambda: read_cells(rows, column, self.read), column, known)
        for origin, (name,) in read_cells(rows, column, self.read):
            own = known[index[name]]
            yield origin, Label(index[name], (own,), own)

    def tensor(self, targets: Sequence[Any]) -> Tensor:
        import torch

        return torch.tensor([int(target) for target in targets])

    def balanced(self, counts: Mapping[str, int], n_rows: int) -> list[float]:
        return balanced(list(counts.values()))

    def loss(self, options: LossOptions) -> LossFunction:
        return make_loss(lambda logits, labels: cross_entropy(logits, labels, options))

    def reduce(self, logits: Tensor, labels: Tensor) -> Reduced:
        import torch

        log_p = torch.log_softmax(logits.cpu().double(), -1)
        nll = -log_p.gather(-1, labels.cpu()[:, None])
        return as_rows(torch.cat([nll, log_p.exp()], -1))

    def outcome(self, target: Any, row: tuple[float, ...], names: Sequence[str]) -> dict[str, Any]:
        nll, *probabilities = row
        return {
            "gold": names[int(target)],
            "prediction": names[probabilities.index(max(probabilities))],
            "probabilities": probabilities,
            "nll": nll,
        }

    def scores(
        self, targets: Sequence[Any], reduced: Sequence[tuple[float, ...]], names: list[str] | None
    ) -> Scores:
        probabilities = [list(row[1:]) for row in reduced]
        return Scores(
            loss=sum(row[0] for row in reduced) / len(reduced),
            inputs={
                "predictions": [row.index(max(row)) for row in probabilities],
                "references": [int(target) for target in targets],
                "probabilities": probabilities,
            },
            options={"labels": list(range(len(names or ())))},
            labels=names,
        )
