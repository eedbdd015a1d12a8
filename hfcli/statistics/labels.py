"""Metrics of labels under row weights: all of them are functions of three sums a class.

Where scikit-learn has a choice, it is that of `hfcli.metrics`: classes that occur in the
references or the predictions, 0 for a ratio whose denominator is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hfcli.statistics.weights import Array, Statistic

ROUNDING = 1e-13  # relative


@dataclass(frozen=True)
class Counts:
    """Weighted rows of each replicate, (replicates, classes).

    Args:
        right: of this class, and predicted so.
        predicted: predicted to be of this class.
        true: of this class.
    """

    right: Array
    predicted: Array
    true: Array

    @property
    def total(self) -> Array:
        return self.true.sum(axis=1)


def group_sums(codes: Array, groups: int) -> Callable[[Array], Array]:
    """(replicates, units) -> (replicates, groups): the sum over the units of each group."""
    import numpy as np

    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)

    def sums(weights: Array) -> Array:
        out = np.zeros((len(weights), groups))
        if len(present):
            out[:, present] = np.add.reduceat(weights.take(order, axis=1), starts, axis=1)
        return out

    return sums


def label_statistic(
    inputs: Mapping[str, Sequence[int]], formula: Callable[[Counts], Array]
) -> Statistic:
    """A formula of the counts, as a function of weights."""
    import numpy as np

    predictions = np.asarray(inputs["predictions"])
    references = np.asarray(inputs["references"])
    names, codes = np.unique(np.concatenate([predictions, references]), return_inverse=True)
    predicted, true = codes[: len(predictions)], codes[len(predictions) :]
    right = np.flatnonzero(predicted == true)
    classes = len(names)
    of_right = group_sums(true[right], classes)
    of_predicted, of_true = group_sums(predicted, classes), group_sums(true, classes)

    def values(weights: Array) -> Array:
        return formula(Counts(of_right(weights[:, right]), of_predicted(weights), of_true(weights)))

    return values


def ratio(above: Array, below: Array) -> Array:
    """above / below, and 0 where below is 0."""
    import numpy as np

    return np.divide(above, below, out=np.zeros(np.shape(below)), where=below > 0)


def precision(counts: Counts) -> Array:
    return ratio(counts.right, counts.predicted)


def recall(counts: Counts) -> Array:
    return ratio(counts.right, counts.true)


def f1(counts: Counts) -> Array:
    return ratio(2 * counts.right, counts.predicted + counts.true)


def macro(score: Callable[[Counts], Array]) -> Callable[[Counts], Array]:
    """The mean over the classes that occur."""

    def formula(counts: Counts) -> Array:
        occurs = (counts.predicted + counts.true) > 0
        return (score(counts) * occurs).sum(axis=1) / occurs.sum(axis=1)

    return formula


def weighted(score: Callable[[Counts], Array]) -> Callable[[Counts], Array]:
    """The mean over classes, each weighing as many rows as are of it."""

    def formula(counts: Counts) -> Array:
        return (score(counts) * counts.true).sum(axis=1) / counts.total

    return formula


def accuracy(counts: Counts) -> Array:
    return counts.right.sum(axis=1) / counts.total


def balanced_accuracy(counts: Counts) -> Array:
    """Mean recall of the classes that occur in the references."""
    return recall(counts).sum(axis=1) / (counts.true > 0).sum(axis=1)


def matthews_correlation(counts: Counts) -> Array:
    """Gorodkin's multi-class coefficient; 0 where one class takes all."""
    import numpy as np

    total = counts.total
    shared = counts.right.sum(axis=1) * total - (counts.predicted * counts.true).sum(axis=1)
    spread = (total**2 - (counts.predicted**2).sum(axis=1)) * (
        total**2 - (counts.true**2).sum(axis=1)
    )
    spread = np.where(spread > ROUNDING * total**4, spread, 0)
    return ratio(shared, np.sqrt(spread))


def cohen_kappa(counts: Counts) -> Array:
    """Agreement beyond chance; not defined where chance agrees always."""
    import numpy as np

    chance = (counts.predicted * counts.true).sum(axis=1) / counts.total**2
    below = np.where(chance < 1, 1 - chance, np.nan)
    return (accuracy(counts) - chance) / below


AVERAGED: dict[str, Callable[[Counts], Array]] = {
    f"{kind}_{average}": combine(score)
    for kind, score in (("precision", precision), ("recall", recall), ("f1", f1))
    for average, combine in (("macro", macro), ("weighted", weighted))
}
FORMULAS: dict[str, Callable[[Counts], Any]] = {
    "balanced_accuracy": balanced_accuracy,
    "matthews_correlation": matthews_correlation,
    "cohen_kappa": cohen_kappa,
    **AVERAGED,
}
LEAST = {"matthews_correlation": -1.0, "cohen_kappa": -1.0}  # what they can be; others: 0
