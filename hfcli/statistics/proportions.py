"""Closed forms: Wilson's interval, of classes too, McNemar's exact test, Holm's correction."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hfcli.statistics.weights import Inputs

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
Z = 1.9599639845400536  # of the normal distribution at 1 - TAIL


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval.

    Args:
        value: of the metric; may be nan.
        low: None, as `high`, where there is no interval; `method` says why.
        method: how it was computed.
        n: rows.
    """

    value: float
    low: float | None
    high: float | None
    method: str
    n: int


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927), in [0, 1].

    It holds its level near 0 and 1 and for few rows, where value +- 1.96 sd does not.
    """
    from statistics import NormalDist  # not at the top: importing it takes 10 ms

    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == n else middle + half
    return low, high


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided p of McNemar's test from the binomial distribution, without approximation.

    Args:
        b: rows that only the first system got right.
        c: rows that only the second got right; where there is neither, p is 1.
    """
    from scipy.special import bdtr

    if b == c:
        return 1.0
    return min(1.0, 2 * float(bdtr(float(min(b, c)), b + c, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979), in the order given.

    Below 0.05 together they are wrong about any difference in at most 5 of 100 comparisons.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def precision_intervals(inputs: Inputs, labels: Sequence[int]) -> list[Interval]:
    """Return the interval of every class's precision: right rows among those predicted so.

    Given how many these are, Wilson's interval holds, and so it does where a class has few rows or
    no errors. Without rows there is none.
    """
    right, predicted, _ = _counts(inputs)
    return [_share(right[label], predicted[label]) for label in labels]


def recall_intervals(inputs: Inputs, labels: Sequence[int]) -> list[Interval]:
    """Return the same of every class's recall: right rows among those that are of it."""
    right, _, true = _counts(inputs)
    return [_share(right[label], true[label]) for label in labels]


def f1_intervals(inputs: Inputs, labels: Sequence[int]) -> list[Interval]:
    """Return the same of every class's F1, 2 j / (1 + j), j being right rows among those of either.

    Either: predicted to be of the class, or of it.
    """
    right, predicted, true = _counts(inputs)
    found = [_share(right[i], predicted[i] + true[i] - right[i]) for i in labels]
    return [_f1(share) for share in found]


def _counts(inputs: Inputs) -> tuple[Counter[int], Counter[int], Counter[int]]:
    predictions, references = inputs["predictions"], inputs["references"]
    right = Counter(p for p, r in zip(predictions, references, strict=True) if p == r)
    return right, Counter(predictions), Counter(references)


def _share(right: int, rows: int) -> Interval:
    if rows == 0:
        return Interval(0.0, None, None, "no rows", 0)
    return Interval(right / rows, *wilson(right, rows), "Wilson", rows)


def _f1(share: Interval) -> Interval:
    if share.low is None or share.high is None:
        return share
    value, low, high = (2 * j / (1 + j) for j in (share.value, share.low, share.high))
    return Interval(value, low, high, "Wilson", share.n)
