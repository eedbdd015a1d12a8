"""Values of which a few are most of the sum: the largest are drawn from a tail.

No draw of the rows can be worse than the worst row, though the next row may be. So the largest
values, as many as the root of their number, are drawn from a Pareto tail whose index is Hill's
(1975) of these values: the semi-parametric bootstrap of Cowell and Flachaire (2007) and of
Davidson and Flachaire (2007). Values without a long tail are drawn as before, nearly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from hfcli.statistics.weights import Array, Statistic

# Hill's index (1 / the Pareto exponent) is 1 where there is no mean, and 1/2 where there is no
# variance. A sample that says more than this says it by chance, or there is nothing to estimate.
HEAVIEST = 0.75


@dataclass(frozen=True)
class Tail:
    """The largest values.

    Args:
        rows: which these are.
        start: the largest value that is not of the tail.
        index: Hill's.
    """

    rows: Array
    start: float
    index: float

    @property
    def mean(self) -> float:
        return self.start / (1 - self.index)

    def draw(self, random: Array, count: int) -> Array:
        values: Array = self.start * (1 - random.random(count)) ** -self.index
        return values


def tail_of(values: Array) -> Tail | None:
    """The tail of values that are not negative; None where it would hold all that are not 0."""
    import numpy as np

    order = values.argsort()
    largest = math.ceil(math.sqrt(len(values)))
    rows, start = order[-largest:], float(values[order[-largest - 1]])
    if not start > 0:
        return None
    index = float(np.log(values[rows] / start).mean())
    return Tail(rows, start, min(index, HEAVIEST))


def drawn_sums(columns: Array, tail: Tail, with_products: Callable[[Array], Array]) -> Statistic:
    """Weights -> sums over rows, those in the tail with a new value in the first column each time.

    Args:
        columns: (rows, k).
        tail: of the first.
        with_products: columns -> what is summed.
    """
    import numpy as np

    random, k = np.random.default_rng(0), len(tail.rows)
    table = with_products(columns)
    table[tail.rows] = 0

    def sums(weights: Array) -> Array:
        copies = weights[:, tail.rows].astype(int).ravel()
        of = np.repeat(np.arange(len(copies)), copies)
        drawn = columns[tail.rows][of % k]
        drawn[:, 0] = tail.draw(random, len(of))
        added = [np.bincount(of // k, column, len(weights)) for column in with_products(drawn).T]
        return weights @ table + np.stack(added, axis=1)

    return sums


def expected_sums(columns: Array, tail: Tail) -> Array:
    """What the sums of the columns are on average."""
    expected = columns.copy()
    expected[tail.rows, 0] = tail.mean
    sums: Array = expected.sum(axis=0)
    return sums
