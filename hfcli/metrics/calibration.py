"""Calibration of a single-label classifier: reliability, the expected calibration error.

The error is a sum of absolute gaps between accuracy and confidence, one a bin. Chance makes every
gap larger, in the data and again in every draw of them, so that percentiles of draws are about too
large an error. The interval is about the error less what chance added.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from hfcli.metrics.base import Metric
from hfcli.metrics.probabilistic import INPUTS, Labels, Probabilities
from hfcli.statistics.form import Form
from hfcli.statistics.leave_out import BIASED
from hfcli.statistics.proportions import CONFIDENCE, Z
from hfcli.statistics.sums import floats
from hfcli.statistics.weights import Array, Inputs, Statistic, group_sums

BINS = 15
CHANCES = 1_000
HALVINGS = 40


def reliability(probabilities: Probabilities, references: Labels) -> list[dict[str, float]]:
    """How often the most probable class is right, by its probability, in 15 bins of equal width.

    Returns:
        For every bin (lower, upper] that holds rows, in order: `lower`, `upper`, `confidence`
        (mean probability), `accuracy`, `count`.
    """
    import numpy as np

    if not references:
        return []
    table = np.asarray(probabilities, dtype=np.float64)
    edges = np.linspace(0, 1, BINS + 1)
    top, right = table.max(axis=1), table.argmax(axis=1) == np.asarray(references)
    bins = np.digitize(top, edges[1:-1], right=True)
    return [
        {
            "lower": float(edges[i]),
            "upper": float(edges[i + 1]),
            "confidence": float(top[bins == i].mean()),
            "accuracy": float(right[bins == i].mean()),
            "count": int((bins == i).sum()),
        }
        for i in sorted(set(bins.tolist()))
    ]


def ece(probabilities: Probabilities, references: Labels) -> float:
    """Expected calibration error (Guo et al. 2017), in [0, 1].

    Mean over rows of |accuracy - confidence| of the row's bin, see `reliability`.
    """
    bins = reliability(probabilities, references)
    gaps = [bin_["count"] * abs(bin_["accuracy"] - bin_["confidence"]) for bin_ in bins]
    return math.fsum(gaps) / len(references) if gaps else math.nan


def _weighted_ece(inputs: Inputs) -> Statistic:
    """Sum over bins of |weight of the right rows - sum of the confidences| / all weight."""
    import numpy as np

    gaps, _, of_bins = _gaps(inputs)
    return lambda weights: np.abs(of_bins(weights * gaps)).sum(axis=1) / weights.sum(axis=1)


def ece_interval(inputs: Inputs, value: float) -> tuple[float, float]:
    """The error less the bias of each bin, give or take 1.96 standard errors; and the value itself.

    A gap of d with standard error s is seen as E|N(d, s)| on average (Leone et al. 1961): d is
    found from what is seen. Kumar, Liang and Ma (2019) take the same bias off by drawing. The
    standard error is that of the sum with the signs of the gaps as they are (delta method).

    Args:
        inputs: probabilities and references.
        value: of the metric, which the interval always holds.
    """
    import numpy as np

    gaps, _, of_bins = _gaps(inputs)
    n = len(gaps)
    seen = of_bins(gaps[None])[0] / n
    errors = np.sqrt(np.maximum(of_bins(gaps[None] ** 2)[0] / n - seen**2, 0) / n)
    least = float(_without_chance(np.abs(seen), errors).sum())
    squares = float((of_bins(gaps[None] ** 2)[0] / n).sum()) - float(np.abs(seen).sum()) ** 2
    half = Z * (max(squares, 0.0) / (n - 1)) ** 0.5
    return max(0.0, least - half), min(1.0, max(value, least + half))


def ece_by_chance(inputs: Inputs, seed: int) -> float:
    """What the ece of a model whose probabilities are true exceeds in 1 of 20 sets of these rows.

    It is never 0, since the rows of a bin are few: up to here, 0 is a value like any other. No
    interval about 0 can be too high, so that the whole 5 % are on the other side.
    """
    import numpy as np

    _, top, of_bins = _gaps(inputs)
    random = np.random.default_rng(seed)
    draws = [
        np.abs(of_bins((random.random((CHANCES // 100, len(top))) < top) - top)).sum(axis=1)
        for _ in range(100)
    ]
    return float(np.quantile(np.concatenate(draws), CONFIDENCE)) / len(top)


def _without_chance(seen: Array, errors: Array) -> Array:
    """The gaps d >= 0 whose E|N(d, s)| is what is seen, by halving; 0 where s alone explains it."""
    import numpy as np
    from scipy.special import ndtr

    s = np.maximum(errors, 1e-12)
    low, high = np.zeros_like(seen), seen
    for _ in range(HALVINGS):
        d = (low + high) / 2
        density = np.exp(-((d / s) ** 2) / 2) / np.sqrt(2 * np.pi)
        above = 2 * s * density + d * (1 - 2 * ndtr(-d / s)) > seen
        low, high = np.where(above, low, d), np.where(above, d, high)
    return low


def _gaps(inputs: Inputs) -> tuple[Array, Array, Callable[[Array], Array]]:
    """Right (1) or not (0) less confidence of each row, its confidence, and sums over its bins."""
    import numpy as np

    table = floats(inputs["probabilities"])
    top = table.max(axis=1)
    bins = np.digitize(top, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    hits = table.argmax(axis=1) == np.asarray(inputs["references"])
    return hits - top, top, group_sums(bins, BINS)


METRICS = (
    Metric(
        "ece",
        ece,
        INPUTS,
        False,
        f"Expected calibration error of the most probable class in {BINS} bins of equal width"
        " (Guo et al. 2017).",
        Form(
            weighted=_weighted_ece,
            closed=ece_interval,
            closed_by="debiased, delta method",
            by_chance=ece_by_chance,
            over_classes=True,
            difference=BIASED,
        ),
    ),
    Metric(
        "reliability",
        reliability,
        INPUTS,
        None,
        f"Confidence, accuracy and count of the {BINS} bins of ece; bins without rows are left"
        " out.",
    ),
)
