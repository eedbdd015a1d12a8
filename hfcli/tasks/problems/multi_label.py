"""Any number of labels of a closed set: a yes or no for each, binary cross-entropy.

The loss of a row is the mean over the labels, as that of torch's BCEWithLogitsLoss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hfcli.errors import DataError
from hfcli.tasks.base import LossFunction, Reduced, Scores
from hfcli.tasks.labels import Names, label_indices, read_cells, several_names
from hfcli.tasks.losses import LossOptions, balanced_positives, binary_cross_entropy, make_loss
from hfcli.tasks.problems.base import Label, Problem, as_rows, distinct_names, label_config

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

THRESHOLD = 0.5  # a label is given where its probability is above


class MultiLabel(Problem):
    """Any number of labels of a closed set."""

    name = "multi_label_classification"
    several = True
    metrics = (
        "subset_accuracy", "hamming_loss", "multilabel_f1_micro", "multilabel_f1_macro",
        "multilabel_f1_samples", "multilabel_precision_micro", "multilabel_precision_macro",
        "multilabel_recall_micro", "multilabel_recall_macro", "multilabel_auroc_macro",
        "multilabel_average_precision_macro",
    )  # fmt: skip

    def read(self, cell: Any) -> Names:
        return several_names(cell, self.separator)

    def config(self, rows: Dataset, column: str) -> dict[str, Any]:
        names = distinct_names(rows, column, self)
        if not names:
            raise DataError(f"column {column!r} of the training data holds no label at all")
        return label_config(self, names)

    def labels(
        self, rows: Dataset, column: str, known: Sequence[str]
    ) -> Iterator[tuple[str, Label]]:
        index = label_indices(lambda: read_cells(rows, column, self.read), column, known)
        for origin, names in read_cells(rows, column, self.read):
            target = [0.0] * len(known)
            for name in names:
                target[index[name]] = 1.0
            own = tuple(name for name, given in zip(known, target, strict=True) if given)
            yield origin, Label(target, own, ", ".join(own) or "(no label)")

    def tensor(self, targets: Sequence[Any]) -> Tensor:
        import torch

        return torch.tensor([[float(given) for given in target] for target in targets])

    def balanced(self, counts: Mapping[str, int], n_rows: int) -> list[float]:
        return balanced_positives(list(counts.values()), n_rows)

    def loss(self, options: LossOptions) -> LossFunction:
        return make_loss(lambda logits, labels: binary_cross_entropy(logits, labels, options))

    def reduce(self, logits: Tensor, labels: Tensor) -> Reduced:
        import torch

        wide = logits.cpu().double()
        nll = binary_cross_entropy(wide, labels.cpu(), LossOptions()).mean(-1, keepdim=True)
        return as_rows(torch.cat([nll, wide.sigmoid()], -1))

    def outcome(self, target: Any, row: tuple[float, ...], names: Sequence[str]) -> dict[str, Any]:
        nll, *probabilities = row
        return {
            "gold": [name for name, given in zip(names, target, strict=True) if given],
            "prediction": [
                name for name, p in zip(names, probabilities, strict=True) if p > THRESHOLD
            ],
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
                "predictions": [[int(p > THRESHOLD) for p in row] for row in probabilities],
                "references": [[int(given) for given in target] for target in targets],
                "probabilities": probabilities,
            },
            options={"labels": list(range(len(names or ())))},
            labels=names,
        )
