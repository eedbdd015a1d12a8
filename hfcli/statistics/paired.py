"""Do two systems differ on the same rows by more than chance?

Every question uses the pairing: which rows are hard is the same for both, and drops out of the
difference. An unpaired test of two accuracies throws that away.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from hfcli.statistics.form import Metric, repeated, row_values, value_of, weighted
from hfcli.statistics.intervals import REPLICATES, affordable, draws_for, numbers_of
from hfcli.statistics.leave_out import Ends, jackknife, none_because
from hfcli.statistics.proportions import mcnemar_exact
from hfcli.statistics.sums import mean_of
from hfcli.statistics.weights import (
    Array,
    Inputs,
    Options,
    Statistic,
    Units,
    equal_rows_as_units,
    rows_as_units,
    swapped,
)

PERMUTATIONS = 5_000
PASSES = 4  # of a permutation: both systems, each over the rows of both
ROUNDING = 1e-9  # relative: differences that are equal but for it are equal


@dataclass(frozen=True)
class Difference:
    """Of a metric between two systems on the same rows.

    Args:
        a: value of the first system.
        b: value of the second.
        difference: b - a.
        low: of the 95 % interval of the difference; None, as `high`, where there is none.
        interval: how it was computed, or why there is none.
        p: two-sided; None where the metric is not defined, or takes too long.
        test: what p comes from, or why there is none.
    """

    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    interval: str
    p: float | None
    test: str


@dataclass(frozen=True)
class Pair:
    """A metric of both systems under weights.

    Args:
        units: of rows, the same for both.
        of_a: the first system's metric, weights of the units.
        of_b: the second's.
        of_both: the metric over the units of the first system followed by those of the second.
        draws: how often both can be computed for an interval; 0: not at all.
        permutations: how many are.
    """

    units: Units
    of_a: Statistic
    of_b: Statistic
    of_both: Statistic
    draws: int
    permutations: int


def differences(
    *,
    metrics: Mapping[str, Metric],
    a: Inputs,
    b: Inputs,
    options: Options,
    seed: int,
    tests: bool = True,
) -> dict[str, Difference]:
    """The difference of every metric that is a number.

    Args:
        metrics: name -> metric.
        a: inputs of the metrics from the first system, one element a row.
        b: from the second, on the same rows in the same order.
        options: further arguments of the metrics.
        seed: of the draws.
        tests: whether p is wanted, which takes most of the time.
    """
    return {
        name: _difference(metric, a, b, options, seed, tests)
        for name, metric in metrics.items()
        if metric.higher_is_better is not None
    }


def permutation_p(pair: Pair, difference: float, seed: int) -> float:
    """Two-sided p of the approximate permutation test: (k + 1) / (permutations + 1).

    If the systems are alike, each row's outcome could as well have been the other's. k counts the
    random exchanges of rows that make the systems differ at least as much as they do; those that
    leave a metric undefined count too.
    """
    import numpy as np

    counts, extreme = pair.units.counts, 0
    least = abs(difference) * (1 - ROUNDING)
    for exchanged in swapped(pair.units, pair.permutations, seed):
        kept = counts - exchanged
        found = pair.of_both(np.hstack([exchanged, kept])) - pair.of_both(
            np.hstack([kept, exchanged])
        )
        extreme += int((~(np.abs(found) < least)).sum())
    return (extreme + 1) / (pair.permutations + 1)


def interval_of(metric: Metric, pair: Pair, difference: float, a: Inputs, b: Inputs) -> Ends:
    """The 95 % interval of the difference, or why there is none."""
    few = none_because(metric, a, b, pair.units.n)
    if few is not None:
        return Ends(None, None, few)
    return jackknife(lambda w: pair.of_b(w) - pair.of_a(w), pair.units, difference, pair.draws)


def _difference(
    metric: Metric, a: Inputs, b: Inputs, options: Options, seed: int, tests: bool
) -> Difference:
    start = time.perf_counter()
    of_a, of_b = (float(value_of(metric, inputs, options)) for inputs in (a, b))
    seconds = time.perf_counter() - start
    difference = of_b - of_a
    if not math.isfinite(difference):
        return Difference(of_a, of_b, math.nan, None, None, "undefined", None, "undefined")
    rows_a, rows_b = row_values(metric, a, of_a), row_values(metric, b, of_b)
    if rows_a is not None and rows_b is not None:
        pair = _of_row_values(rows_a, rows_b)
    else:
        pair = _of_units(metric, a, b, (of_a, of_b)) or _repeated(metric, a, b, options, seconds)
    ends = interval_of(metric, pair, difference, a, b)
    both = (of_a, of_b, difference, ends.low, ends.high, ends.method)
    if not tests:
        return Difference(*both, None, "not made")
    if metric.form.is_proportion and rows_a is not None and rows_b is not None:
        p, test = _mcnemar(rows_a, rows_b)
        return Difference(*both, p, test)
    if not pair.permutations:
        return Difference(*both, None, "too slow to draw")
    p, test = permutation_p(pair, difference, seed), f"permutation, {pair.permutations:,} draws"
    return Difference(*both, p, test)


def _mcnemar(rows_a: Array, rows_b: Array) -> tuple[float, str]:
    only_a, only_b = int((rows_a > rows_b).sum()), int((rows_a < rows_b).sum())
    return mcnemar_exact(only_a, only_b), f"exact McNemar, {only_a:,} : {only_b:,}"


def _of_row_values(rows_a: Array, rows_b: Array) -> Pair:
    """Of a metric that is a mean over rows."""
    import numpy as np

    units, of_both = rows_as_units(len(rows_a)), mean_of(np.concatenate([rows_a, rows_b]))
    return _fast(units, mean_of(rows_a), mean_of(rows_b), of_both, len(rows_a))


def _of_units(metric: Metric, a: Inputs, b: Inputs, values: tuple[float, float]) -> Pair | None:
    """Of a metric that has a fast form."""
    if metric.form.counts is not None:
        columns = [side[name] for side in (a, b) for name in ("predictions", "references")]
        units = equal_rows_as_units(columns)
    else:
        units = rows_as_units(len(a[next(iter(metric.inputs))]))
    a, b = _at(metric, a, units), _at(metric, b, units)
    of_a = weighted(metric, a, values[0], units.counts)
    of_b = weighted(metric, b, values[1], units.counts)
    of_both = metric.form.statistic(_one_after_the_other(a, b))
    if of_a is None or of_b is None or of_both is None:
        return None
    return _fast(units, of_a, of_b, of_both, numbers_of(metric, a, units))


def _fast(units: Units, of_a: Statistic, of_b: Statistic, of_both: Statistic, numbers: int) -> Pair:
    draws, permutations = (
        draws_for(2 * numbers, REPLICATES), draws_for(PASSES * numbers, PERMUTATIONS)
    )  # fmt: skip
    return Pair(units, of_a, of_b, of_both, draws, permutations)


def _repeated(metric: Metric, a: Inputs, b: Inputs, options: Options, seconds: float) -> Pair:
    """Of any metric, computed anew for every draw."""
    units = rows_as_units(len(a[next(iter(metric.inputs))]))
    a, b = _at(metric, a, units), _at(metric, b, units)
    of_a, of_b, of_both = (
        repeated(metric, rows, options) for rows in (a, b, _one_after_the_other(a, b))
    )
    draws = affordable(seconds)
    return Pair(units, of_a, of_b, of_both, draws, draws)


def _at(metric: Metric, inputs: Inputs, units: Units) -> Inputs:
    """What the metric reads of the first row of each unit."""
    first = units.first.tolist()
    return {name: [inputs[name][i] for i in first] for name in metric.inputs}


def _one_after_the_other(a: Inputs, b: Inputs) -> Inputs:
    return {name: [*a[name], *b[name]] for name in a}
