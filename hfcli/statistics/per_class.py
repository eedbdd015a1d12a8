"""Intervals of precision, recall and F1 of every class, in closed form.

Each is a proportion: right rows among those predicted to be of the class (precision), among those
that are of it (recall), or among those that are either (j; F1 is 2 j / (1 + j)). Given how many
rows these are, Wilson's interval holds, and so it does where a class has few rows or no errors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hfcli.statistics.intervals import Interval
from hfcli.statistics.proportions import wilson


def per_class_intervals(
    predictions: Sequence[int], references: Sequence[int], labels: Sequence[int]
) -> dict[str, list[Interval]]:
    """The intervals of precision_per_class, recall_per_class and f1_per_class.

    Args:
        predictions, references: label indices, one a row.
        labels: the classes, in the order of the lists.

    Returns:
        Metric -> one interval a class; without ends, where no row is of the class.
    """
    predicted, true = Counter(predictions), Counter(references)
    right = Counter(p for p, r in zip(predictions, references, strict=True) if p == r)
    either = {label: predicted[label] + true[label] - right[label] for label in labels}
    return {
        "precision_per_class": [_share(right[label], predicted[label]) for label in labels],
        "recall_per_class": [_share(right[label], true[label]) for label in labels],
        "f1_per_class": [_f1(_share(right[label], either[label])) for label in labels],
    }


def _share(right: int, rows: int) -> Interval:
    if rows == 0:
        return Interval(0.0, None, None, "no rows", 0)
    return Interval(right / rows, *wilson(right, rows), "Wilson", rows)


def _f1(share: Interval) -> Interval:
    if share.low is None or share.high is None:
        return share
    value, low, high = (2 * j / (1 + j) for j in (share.value, share.low, share.high))
    return Interval(value, low, high, "Wilson", share.n)
