"""Few long documents -> many units that can be drawn: blocks of consecutive windows.

Of one book there is no second one to draw. What can be asked is how well its score is known as
that of more text like it, and for that its parts are drawn. Parts that follow each other are
alike, so they are drawn in blocks (Künsch 1989; blocks here do not overlap, Carlstein 1986), whose
length grows with the cube root of their number (Hall, Horowitz and Jing 1995).

Blocks that follow each other are still alike. What they contribute to the metric is a series, as
it were an autoregression of order one. How far its mean is from the truth, in standard errors, is
known from series that are drawn from the innovations of the one there is (Bühlmann 1997;
studentised: Choi and Hall 2000), each with its own standard error and its own estimate of how much
neighbours are alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hfcli.statistics.proportions import CONFIDENCE
from hfcli.statistics.studentised import LEAST_ERROR, Studentised
from hfcli.statistics.weights import Array, Inputs

COUNTS = ("nll", "n_tokens", "n_bytes", "n_words")  # of a part, in this order
LEAST_BLOCKS = 10
STEP = 1e-4  # of a weight


def blocks_of(documents: Sequence[Sequence[Sequence[float]]]) -> Inputs:
    """The inputs of metrics of language modelling, one value a block.

    Args:
        documents: of each, its parts in order; of each part, `COUNTS`.
    """
    length = block_length(sum(map(len, documents)))
    sums = [_sum(block) for parts in documents for block in _cut(parts, length)]
    return {name: [block[i] for block in sums] for i, name in enumerate(COUNTS)}


def block_length(parts: int) -> int:
    """Parts in a block: the cube root of their number, less where fewer than ten blocks came."""
    return max(1, min(round(math.cbrt(parts)), parts // LEAST_BLOCKS))


def _cut(parts: Sequence[Any], length: int) -> list[Sequence[Any]]:
    """Blocks of about equal size, none of which crosses the end of a document."""
    blocks = max(1, round(len(parts) / length))
    edges = [round(i * len(parts) / blocks) for i in range(blocks + 1)]
    return [parts[a:b] for a, b in pairwise(edges)]


def _sum(parts: Sequence[Sequence[float]]) -> list[float]:
    return [sum(values) for values in zip(*parts, strict=True)]


def interval_in_order(
    form: Studentised, counts: Array, seed: int, draws: int
) -> tuple[float, float] | None:
    """The ends of a symmetric interval; None where all units contribute the same.

    Args:
        form: the metric.
        counts: rows of each unit, in order.
        seed: of the draws.
        draws: series that are drawn.
    """
    import numpy as np

    value, error = form.estimate(counts[None])[0].tolist()
    if not error > LEAST_ERROR:
        return None
    series = contributions(form, counts)
    half = error * float(stretch(series[None])[0])
    half *= float(np.quantile(_distances(series, seed, draws), CONFIDENCE))
    low, high = sorted((form.back(value - half), form.back(value + half)))
    return low, high


def contributions(form: Studentised, counts: Array) -> Array:
    """What each unit adds to the estimate, but for a factor; of mean 0."""
    import numpy as np

    weights = counts + STEP * np.eye(len(counts))
    added: Array = form.estimate(weights)[:, 0] - form.estimate(counts[None])[0, 0]
    return added - added.mean()


def likeness(series: Array) -> Array:
    """The correlation of neighbours in each series (series, n), not below 0.

    On average an estimate is (1 + 4 r) / n below r (Kendall 1954), which is made good.
    """
    import numpy as np

    n = series.shape[1]
    off = series - series.mean(axis=1, keepdims=True)
    r = (off[:, 1:] * off[:, :-1]).sum(axis=1) / (off**2).sum(axis=1)
    return np.clip((n * r + 1) / (n - 4), 0, 1 - 1 / n)


def stretch(series: Array) -> Array:
    """How much larger the standard error of a mean is, since neighbours are alike.

    The root of 1 + 2 r: the first term of the long-run variance (Newey and West 1987).
    """
    import numpy as np

    return np.sqrt(1 + 2 * likeness(series))


def _distances(series: Array, seed: int, draws: int) -> Array:
    """Of series drawn as this one was: how far the mean is from 0, in standard errors."""
    import numpy as np
    from scipy.signal import lfilter

    random, n = np.random.default_rng(seed), len(series)
    r = float(likeness(series[None])[0])
    innovations = series[1:] - r * series[:-1]
    drawn = random.choice(innovations - innovations.mean(), (draws, n))
    drawn[:, 0] /= (1 - r**2) ** 0.5  # as wide as what an endless series begins with
    drawn = lfilter([1.0], [1.0, -r], drawn, axis=1)
    errors = drawn.std(axis=1, ddof=1) / n**0.5 * stretch(drawn)
    distances: Array = np.abs(drawn.mean(axis=1)) / errors
    return distances
