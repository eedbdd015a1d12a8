"""The studentised bootstrap: how far is an estimate from the truth, in standard errors?

That ratio hardly depends on the data, so its distribution is known from draws, each divided by its
own standard error; percentiles of the draws themselves are too narrow where rows are few or their
values have a long tail (Efron and Tibshirani 1993, chapter 12). Here it is symmetric (Hall 1988),
which covers best, and taken on a scale where the standard error does not depend on the value
(Tibshirani 1988): the logarithm of means and of ratios of sums, the logit of means of shares,
Fisher's z of a correlation, the logarithm of 1 - R2. Standard errors are the delta method's, of
ratios the jackknife's.

No draw of the rows can be worse than the worst row, though the next row may be. So the largest
squared errors, as many as the root of their number, are drawn from a Pareto tail whose index is
Hill's (1975) of these values: the semi-parametric bootstrap of Cowell and Flachaire (2007) and of
Davidson and Flachaire (2007). Values without a long tail are drawn as before, nearly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hfcli.statistics.proportions import CONFIDENCE
from hfcli.statistics.spread import defined_draws
from hfcli.statistics.sums import centred, floats
from hfcli.statistics.weights import Array, Inputs, Statistic

Function = Callable[[Array], tuple[Array, Array]]
# Hill's index (1 / the Pareto exponent) is 1 where there is no mean, and 1/2 where there is no
# variance. A sample that says more than this says it by chance, or there is nothing to estimate.
HEAVIEST = 0.75
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
