"""Draws of row weights: how often a row is in a replicate, or which system a row is taken from.

A statistic is a function of weights, (replicates, units) -> (replicates,), NaN where it is not
defined. A unit is a row, or several equal rows that are counted together: drawing how many of
them a replicate has is the same as drawing rows, and costs no more for a million of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Array = Any  # of numpy, which is imported late, and whose types say nothing of shapes
Statistic = Callable[[Array], Array]
Inputs = Mapping[str, Sequence[Any]]  # argument of a metric -> one value a row
Options = Mapping[str, Any]  # further arguments of metrics

NUMBERS_AT_ONCE = 100_000  # of a block of weights: what the caches of a core hold


@dataclass(frozen=True)
class Units:
    """What is drawn.

    Args:
        first: index of the first row of each unit.
        counts: rows of each unit.
        strata: number of the stratum of each unit; every replicate has as many rows of it as the
            data. None: rows are drawn from all.
    """

    first: Array
    counts: Array
    strata: Array | None = None

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def single(self) -> bool:
        """Whether every unit is one row."""
        return len(self.counts) == self.n


def rows_as_units(n: int, strata: Sequence[Any] | None = None) -> Units:
    """Every row by itself."""
    import numpy as np

    codes = None if strata is None else np.unique(_column(strata), return_inverse=True)[1]
    return Units(np.arange(n), np.ones(n), codes)


def equal_rows_as_units(
    columns: Sequence[Sequence[int]], strata: Sequence[Any] | None = None
) -> Units:
    """Rows that are equal in all columns (and in their stratum) together."""
    import numpy as np

    codes = [np.unique(_column(c), return_inverse=True)[1] for c in columns]
    if strata is not None:
        codes.append(np.unique(_column(strata), return_inverse=True)[1])
    _, first, counts = np.unique(
        np.stack(codes, axis=1), axis=0, return_index=True, return_counts=True
    )
    return Units(first, counts.astype(float), None if strata is None else codes[-1][first])


def resampled(units: Units, replicates: int, seed: int) -> Iterator[Array]:
    """Blocks of bootstrap weights (b, units): rows of each replicate, drawn with replacement."""
    import numpy as np

    random = np.random.default_rng(seed)
    for size in _blocks(len(units.counts), replicates):
        if units.strata is None:
            yield _drawn(random, units.counts, size)
            continue
        block = np.empty((size, len(units.counts)))
        for stratum in range(int(units.strata.max()) + 1):
            inside = np.flatnonzero(units.strata == stratum)
            block[:, inside] = _drawn(random, units.counts[inside], size)
        yield block


def swapped(units: Units, replicates: int, seed: int) -> Iterator[Array]:
    """Blocks (b, units): how many of the rows of a unit the two systems exchange, each with 1/2."""
    import numpy as np

    random = np.random.default_rng(seed)
    for size in _blocks(len(units.counts), replicates):
        shape = (size, len(units.counts))
        if units.single:
            yield random.integers(0, 2, shape, dtype=np.int8).astype(float)
        else:
            yield random.binomial(units.counts.astype(int), 0.5, shape).astype(float)


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


def _drawn(random: Any, counts: Array, size: int) -> Array:
    import numpy as np

    units, n = len(counts), int(counts.sum())
    if units < n:
        return random.multinomial(n, counts / n, size).astype(float)
    # One count over all replicates: replicate r's choice u is number r * units + u.
    chosen = random.integers(0, units, (size, units)) + np.arange(size)[:, None] * units
    counted = np.bincount(chosen.ravel(), minlength=size * units)
    return counted.reshape(size, units).astype(float)


def _blocks(units: int, replicates: int) -> Iterator[int]:
    size = max(1, NUMBERS_AT_ONCE // units)
    for start in range(0, replicates, size):
        yield min(size, replicates - start)


def _column(values: Sequence[Any]) -> Array:
    import numpy as np

    return np.asarray(values)
