"""Metrics of labels under row weights, and their intervals: functions of the confusion matrix.

The variance is the delta method's (Takahashi et al. 2022 for averaged F1), of the matrix with half
a right and half a wrong row more in each class, as Jeffreys' prior has it for a proportion: a class
of five rows, all of them right, does not say that the next one will be. The bias is the delta
method's too, to second order. Student's t has Satterthwaite's (1946) degrees of freedom: each class
tells its share of the variance by as many rows as it has then. The scale is the logit's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from hfcli.statistics.proportions import TAIL
from hfcli.statistics.weights import NUMBERS_AT_ONCE, Array, Inputs, Statistic, group_sums

ADDED = 0.5  # right rows of each class, and as many wrong ones
STEP = 0.01  # of differences, relative to a count
EDGE = 1e-9  # nearer to the least or to 1, a value is there but for rounding


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


Formula = Callable[[Counts], Array]


def label_statistic(inputs: Inputs, formula: Formula) -> Statistic:
    """Return a formula of the counts as a function of row weights."""
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


def label_interval(
    inputs: Inputs, value: float, *, formula: Formula, least: float = 0.0
) -> tuple[float, float] | None:
    """The ends of the interval, between `least` and 1; None where there is one class only.

    Args:
        inputs: predictions and references.
        value: of the metric, which the interval always holds.
        formula: the metric.
        least: what it can be.
    """
    from scipy.special import expit, logit, stdtrit

    true, predicted, rows, classes = _cells(inputs)
    if classes < 2:
        return None
    counts = _counted(true, predicted, rows, classes)
    added = _with_more(counts)
    variances = _variances(formula, added, true, predicted, rows)
    span = 1 - least
    middle = (value - _bias(formula, counts, true, predicted, rows) - least) / span
    if not (least + EDGE < value < 1 - EDGE and EDGE < middle < 1 - EDGE):
        middle = (float(formula(added)[0]) - least) / span
    t = float(stdtrit(_degrees(variances, added.true[0]), 1 - TAIL))
    half = t * float(variances.sum()) ** 0.5 / span / (middle * (1 - middle))
    low, high = (least + span * float(expit(logit(middle) + end)) for end in (-half, half))
    return min(low, value), max(high, value)


def _cells(inputs: Inputs) -> tuple[Array, Array, Array, int]:
    """True class, predicted class and rows of each cell that has any; and how many classes."""
    import numpy as np

    true, predicted = (np.asarray(inputs[name]) for name in ("references", "predictions"))
    names, codes = np.unique(np.concatenate([true, predicted]), return_inverse=True)
    pairs = codes[: len(true)] * len(names) + codes[len(true) :]
    cells, rows = np.unique(pairs, return_counts=True)
    return *np.divmod(cells, len(names)), rows.astype(float), len(names)


def _counted(true: Array, predicted: Array, rows: Array, classes: int) -> Counts:
    """The sums of a class, (1, classes)."""
    import numpy as np

    right = np.bincount(true, rows * (true == predicted), classes)
    sums = (np.bincount(of, rows, classes) for of in (predicted, true))
    return Counts(right[None], *(each[None] for each in sums))


def _with_more(counts: Counts) -> Counts:
    """Half a right row of each class, and half a wrong one, spread evenly over the others."""
    return Counts(counts.right + ADDED, counts.predicted + 2 * ADDED, counts.true + 2 * ADDED)


def _variances(
    formula: Formula, added: Counts, true: Array, predicted: Array, rows: Array
) -> Array:
    """What the rows of each true class add to the variance of the metric, (classes,)."""
    import numpy as np

    classes = added.true.shape[1]
    right, of_predicted, of_true = (
        _slopes(formula, added, name) for name in ("right", "predicted", "true")
    )
    changes = of_true[true] + of_predicted[predicted] + right[true] * (true == predicted)
    found = np.bincount(true, rows * changes**2, classes)
    found += ADDED * (of_true + of_predicted + right) ** 2
    wrong = classes * of_true**2 + 2 * of_true * of_predicted.sum() + (of_predicted**2).sum()
    wrong -= (of_true + of_predicted) ** 2
    total: Array = found + ADDED * wrong / (classes - 1)
    return total


def _slopes(formula: Formula, counts: Counts, name: str) -> Array:
    """By how much the metric changes with a count of each class."""
    import numpy as np

    each = np.arange(counts.true.shape[1])
    steps = STEP * getattr(counts, name)[0]
    ends = [_moved(formula, counts, {name: each}, steps * sign) for sign in (1, -1)]
    return (ends[0] - ends[1]) / (2 * steps)


def _bias(formula: Formula, counts: Counts, true: Array, predicted: Array, rows: Array) -> float:
    """How much too large the metric is on average: half its curvature times the variance."""
    import numpy as np

    at = {"true": true, "predicted": predicted, "right": np.where(true == predicted, true, -1)}
    steps = STEP * rows
    up, down = (_moved(formula, counts, at, steps * sign) for sign in (1, -1))
    curvature = (up + down - 2 * formula(counts)) / steps**2
    return float((rows * curvature).sum() / 2)


def _moved(formula: Formula, counts: Counts, at: dict[str, Array], steps: Array) -> Array:
    """The metric where the counts of a class (-1: of none) are so much larger, once a step."""
    import numpy as np

    found = [np.empty(0)]
    for block in _blocks(len(steps), counts.true.shape[1]):
        tables = {
            name: np.repeat(sums, len(steps[block]), axis=0)
            for name, sums in asdict(counts).items()
        }
        for name, classes in at.items():
            moved = np.flatnonzero(classes[block] >= 0)
            tables[name][moved, classes[block][moved]] += steps[block][moved]
        found.append(formula(Counts(**tables)))
    return np.concatenate(found)


def _blocks(steps: int, classes: int) -> Iterator[slice]:
    size = max(1, NUMBERS_AT_ONCE // classes)
    return (slice(start, start + size) for start in range(0, steps, size))


def _degrees(variances: Array, rows: Array) -> float:
    """Satterthwaite's, of a sum of variances each of which is known from so many rows."""
    return float(variances.sum() ** 2 / (variances**2 / rows).sum())
