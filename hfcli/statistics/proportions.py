"""Closed forms: Wilson's interval, McNemar's exact test, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
Z = NormalDist().inv_cdf(1 - TAIL)  # 1.96


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927), in [0, 1].

    It holds its level near 0 and 1 and for few rows, where value +- 1.96 sd does not.
    """
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
