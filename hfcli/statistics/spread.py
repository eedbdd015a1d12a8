"""From values on bootstrap draws to the ends of a 95 % interval.

Never from their standard deviation over the root of their number: that is how well the draws'
mean is known, and goes to zero with more draws.
"""

from __future__ import annotations

import math

from hfcli.statistics.proportions import TAIL
from hfcli.statistics.weights import Array, Statistic, Units

MOST_UNDEFINED = 0.05  # of the draws
LEFT_OUT = 200  # rows, or groups of them, that are left out to measure how skewed a statistic is


def defined_draws(draws: Array) -> Array | None:
    """Those that are not nan; None where too many are."""
    import numpy as np

    defined = draws[np.isfinite(draws)]
    return defined if len(defined) >= (1 - MOST_UNDEFINED) * len(draws) else None


def percentile(draws: Array) -> tuple[float, float]:
    """The middle 95 % of the draws."""
    return _quantiles(draws, TAIL, 1 - TAIL)


def bca(statistic: Statistic, units: Units, value: float, draws: Array) -> tuple[float, float]:
    """Bias-corrected and accelerated (Efron 1987): the percentiles, moved for bias and skew.

    Args:
        statistic: as a function of weights.
        units: what was drawn.
        value: the statistic on the rows as they are.
        draws: its defined values on draws that are not all the same.
    """
    from statistics import NormalDist

    import numpy as np

    normal = NormalDist()
    below = ((draws < value).mean() + (draws <= value).mean()) / 2
    edge = 1 / (2 * len(draws))
    bias = normal.inv_cdf(float(np.clip(below, edge, 1 - edge)))
    skew = acceleration(statistic, units)

    def moved(share: float) -> float:
        z = bias + normal.inv_cdf(share)
        return normal.cdf(bias + z / (1 - skew * z))

    return _quantiles(draws, moved(TAIL), moved(1 - TAIL))


def by_logit(value: float, draws: Array, degrees: int) -> tuple[float, float] | None:
    """Of a number between 0 and 1: its logit, give or take t standard errors from the draws.

    So Qin and Hotilovac (2008) for areas under ROC curves, and Boyd, Eng and Page (2013) for those
    under precision-recall curves; they take the normal distribution's 1.96, which covers less.

    Args:
        value: of the metric; there is no interval at 0 and 1.
        draws: its values.
        degrees: of freedom of t.
    """
    from scipy.special import stdtrit

    if not 0 < value < 1:
        return None
    half = float(stdtrit(degrees, 1 - TAIL)) * float(draws.std()) / (value * (1 - value))
    middle = math.log(value / (1 - value))
    return _expit(middle - half), _expit(middle + half)


def acceleration(statistic: Statistic, units: Units) -> float:
    """Efron's a: a sixth of the skewness of what rows contribute, over the root of their number.

    From leaving out one row of each unit, or random groups of rows where there are many units.
    """
    import numpy as np

    counts = units.counts
    if len(counts) <= LEFT_OUT:
        weights, times = counts - np.eye(len(counts)), counts
    else:
        groups, n = min(LEFT_OUT, units.n), units.n
        weights, times = np.tile(counts, (groups, 1)), np.ones(groups)
        group_of_rows = np.random.default_rng(0).permutation(n) % groups
        rows = np.repeat(np.arange(len(counts)), counts.astype(int))
        np.subtract.at(weights, (group_of_rows, rows), 1)
    without = statistic(weights)
    defined = np.isfinite(without)
    without, times = without[defined], times[defined]
    influence = np.average(without, weights=times) - without
    spread = (times * influence**2).sum()
    return float((times * influence**3).sum() / (6 * spread**1.5)) if spread > 0 else 0.0


def _quantiles(draws: Array, low: float, high: float) -> tuple[float, float]:
    import numpy as np

    ends = np.quantile(draws, [low, high])
    return float(ends[0]), float(ends[1])


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0
