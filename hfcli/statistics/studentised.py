"""The studentised bootstrap: how far is an estimate from the truth, in standard errors?

That ratio hardly depends on the data, so its distribution is known from draws, each divided by its
own standard error; percentiles of the draws themselves are too narrow where rows are few or their
values have a long tail (Efron and Tibshirani 1993, chapter 12). Here it is symmetric (Hall 1988),
which covers best, and taken on a scale where the standard error does not depend on the value
(Tibshirani 1988): the logarithm of means and of ratios of sums, the logit of means of shares,
Fisher's z of a correlation, the logarithm of 1 - R2. Standard errors are the delta method's, of
ratios the jackknife's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hfcli.statistics.long_tails import drawn_sums, expected_sums, tail_of
from hfcli.statistics.proportions import CONFIDENCE
from hfcli.statistics.spread import defined_draws
from hfcli.statistics.sums import centred, floats
from hfcli.statistics.weights import Array, Inputs, Statistic

Function = Callable[[Array], tuple[Array, Array]]
LEAST_ERROR = 1e-9  # smaller ones are rounding: the rows are all the same


@dataclass(frozen=True)
class Studentised:
    """A metric on another scale.

    Args:
        estimate: weights (replicates, units) -> value and standard error there, (replicates, 2).
        back: from that scale to the metric's.
        drawn: the same on draws, where these are not of the rows alone.
        centre: what draws are around, there.
    """

    estimate: Statistic
    back: Callable[[float], float]
    drawn: Statistic | None = None
    centre: float | None = None

    def value(self, counts: Array) -> float:
        """The metric on the rows as they are, `counts` of each unit."""
        return self.back(float(self.estimate(counts[None])[0, 0]))

    def values(self, draws: Array) -> Array:
        """The metric on draws, (replicates, 2) as `estimate` gives them."""
        import numpy as np

        return np.array([self.back(x) for x in draws[:, 0].tolist()])


def symmetric(form: Studentised, counts: Array, draws: Array) -> tuple[float, float] | None:
    """The ends of the interval; None where too many draws have no standard error.

    Args:
        form: the metric.
        counts: rows of each unit.
        draws: its estimates on draws, (replicates, 2).
    """
    import numpy as np

    value, error = form.estimate(counts[None])[0].tolist()
    if not error > LEAST_ERROR:
        return None
    centre = value if form.centre is None else form.centre
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = defined_draws(np.abs(draws[:, 0] - centre) / draws[:, 1])
    if distances is None:
        return None
    half = float(np.quantile(distances, CONFIDENCE)) * error
    low, high = sorted((form.back(value - half), form.back(value + half)))
    return low, high


def mean(values: Array) -> Studentised:
    """The mean of values that are not negative."""
    return Studentised(_delta(values[:, None], _log), _exp)


def mean_of_shares(values: Array, most: float = 1.0) -> Studentised:
    """The mean of values from 0 to `most`, which its interval does not leave either."""
    return Studentised(_delta(values[:, None] / most, _logit), lambda x: most * _expit(x))


def mean_with_tail(values: Array) -> Studentised:
    """The mean of values that are not negative, and some of which may be large."""
    return _with_tail(values[:, None], _log, _exp)


def root_of_mean_with_tail(values: Array) -> Studentised:
    return _with_tail(values[:, None], _log, lambda x: _exp(x / 2))


def ratio(
    above: Sequence[float], below: Sequence[float], back: Callable[[float], float]
) -> Studentised:
    """back(sum of `above` / sum of `below`), both of them positive.

    The standard error is the jackknife's (Tukey 1958): what leaving one unit out changes. The delta
    method's is too small where one is as long as many others, since the ratio follows it.
    """
    tops, bottoms = floats(above), floats(below)

    def estimate(weights: Array) -> Array:
        import numpy as np

        n, bottom = weights.sum(axis=1), weights @ bottoms
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = weights @ tops / bottom
            changes = (rate[:, None] * bottoms - tops) / (bottom[:, None] - bottoms)
            squares = np.einsum("bi,bi,bi->b", weights, changes, changes)
            return _stack([np.log(rate), np.sqrt(squares * (n - 1) / n) / rate])

    return Studentised(estimate, lambda x: back(_exp(x)))


def pearson(inputs: Inputs) -> Studentised:
    """By Fisher's z, with a standard error that does not suppose normal values."""
    x, y = (_standard(inputs[name]) for name in ("predictions", "references"))
    return Studentised(_delta(_stack([x, y, x * x, y * y, x * y]), _fisher_z), math.tanh)


def r2(inputs: Inputs) -> Studentised:
    y, predictions = centred(inputs["references"]), floats(inputs["predictions"])
    errors = predictions - floats(inputs["references"])
    spread = y.std() or 1.0
    columns = _stack([(errors / spread) ** 2, y / spread, (y / spread) ** 2])
    return _with_tail(columns, _log_unexplained, lambda x: 1 - _exp(x))


def exp(value: float) -> float:
    """For `back`: infinite where it overflows."""
    return _exp(value)


def per_bit(value: float) -> float:
    return value / math.log(2)


def same(value: float) -> float:
    return value


def _delta(columns: Array, function: Function) -> Statistic:
    """A function of the means of columns, and its standard error by its slopes.

    Args:
        columns: (units, k).
        function: means (replicates, k) -> values (replicates,), and their slopes (replicates, k).
    """

    table = _with_products(columns)
    return lambda weights: _estimates(weights @ table, weights.sum(axis=1), function)


def _with_tail(columns: Array, function: Function, back: Callable[[float], float]) -> Studentised:
    """The same, the largest values of the first column being drawn from their tail."""
    estimate, tail = _delta(columns, function), tail_of(columns[:, 0])
    if tail is None:
        return Studentised(estimate, back)
    sums = drawn_sums(columns, tail, _with_products)
    return Studentised(
        estimate,
        back,
        drawn=lambda weights: _estimates(sums(weights), weights.sum(axis=1), function),
        centre=float(function(expected_sums(columns, tail)[None] / len(columns))[0][0]),
    )


def _with_products(columns: Array) -> Array:
    """Columns (n, k), and the products of each two of them."""
    import numpy as np

    i, j = np.triu_indices(columns.shape[1])
    return np.hstack([columns, columns[:, i] * columns[:, j]])


def _estimates(sums: Array, n: Array, function: Function) -> Array:
    """Values and standard errors (replicates, 2) from sums of columns and their products."""
    import numpy as np

    k = next(k for k in range(1, sums.shape[1] + 1) if k * (k + 3) == 2 * sums.shape[1])
    i, j = np.triu_indices(k)
    means = sums / n[:, None]
    first, products = means[:, :k], means[:, k:]
    with np.errstate(divide="ignore", invalid="ignore"):
        values, slopes = function(first)
        covariances = products - first[:, i] * first[:, j]
        twice = np.where(i == j, 1.0, 2.0)
        variances = (slopes[:, i] * slopes[:, j] * covariances * twice).sum(axis=1) / (n - 1)
    return _stack([values, np.sqrt(np.maximum(variances, 0))])


def _log(means: Array) -> tuple[Array, Array]:
    import numpy as np

    return np.log(means[:, 0]), 1 / means


def _logit(means: Array) -> tuple[Array, Array]:
    import numpy as np

    return np.log(means[:, 0] / (1 - means[:, 0])), 1 / (means * (1 - means))


def _fisher_z(means: Array) -> tuple[Array, Array]:
    import numpy as np

    x, y, xx, yy, xy = means.T
    of_x, of_y = xx - x * x, yy - y * y
    root = np.sqrt(of_x * of_y)
    r = (xy - x * y) / root
    slopes = [r * x / of_x - y / root, r * y / of_y - x / root,
              -r / (2 * of_x), -r / (2 * of_y), 1 / root]  # fmt: skip
    return np.arctanh(r), _stack(slopes) / (1 - r * r)[:, None]


def _log_unexplained(means: Array) -> tuple[Array, Array]:
    import numpy as np

    error, y, yy = means.T
    of_y = yy - y * y
    return np.log(error / of_y), _stack([1 / error, 2 * y / of_y, -1 / of_y])


def _standard(values: Sequence[float]) -> Array:
    found = centred(values)
    return found / (found.std() or 1.0)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _expit(value: float) -> float:
    return 1 / (1 + _exp(-value))


def _stack(columns: Sequence[Array]) -> Array:
    import numpy as np

    return np.stack(columns, axis=1)
