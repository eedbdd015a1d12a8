"""Metrics of regression, from predicted and true numbers.

Each is nan without rows, and where a number is nan. Knows nothing about units.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from hfcli.metrics.base import Metric
from hfcli.statistics import ranks, studentised, sums
from hfcli.statistics.form import Form, mean_form
from hfcli.statistics.leave_out import RANKED, SQUARED
from hfcli.statistics.studentised import Studentised
from hfcli.statistics.sums import squares
from hfcli.statistics.weights import Array, Inputs

INPUTS: dict[str, type] = {"predictions": float, "references": float}
Numbers = Sequence[float]


def mse(predictions: Numbers, references: Numbers) -> float:
    """Mean squared error; infinite where a square is too large for a float."""
    return _mean_power(predictions, references, 2)


def rmse(predictions: Numbers, references: Numbers) -> float:
    """Square root of `mse`, in the unit of the references."""
    return math.sqrt(mse(predictions, references))


def mae(predictions: Numbers, references: Numbers) -> float:
    """Mean absolute error, in the unit of the references."""
    return _mean_power(predictions, references, 1)


def r2(predictions: Numbers, references: Numbers) -> float:
    """1 - squared error / squared deviation of the references from their mean; at most 1.

    nan where all references are equal: the definition divides by 0 then, for which
    scikit-learn's r2_score puts 0 or 1.
    """
    import numpy as np

    if len(set(references)) < 2:
        return math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        spread = mse([float(np.mean(references))] * len(references), references)
    return 1 - mse(predictions, references) / spread if spread else math.nan


def pearson(predictions: Numbers, references: Numbers) -> float:
    """Pearson's correlation, in [-1, 1].

    nan with fewer than two rows, and where predictions or references are all equal, also if only
    to rounding (scipy's NearConstantInputWarning).
    """
    import numpy as np
    from scipy.stats import DegenerateDataWarning, pearsonr

    if len(references) < 2:
        return math.nan
    with np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error", DegenerateDataWarning)
        try:
            return float(pearsonr(predictions, references).statistic)
        except DegenerateDataWarning:
            return math.nan


def spearman(predictions: Numbers, references: Numbers) -> float:
    """Spearman's correlation: Pearson's of the ranks, equal values sharing their mean rank.

    nan with fewer than two rows, and where predictions or references are all equal.
    """
    from scipy.stats import rankdata

    return pearson(rankdata(predictions), rankdata(references))


def _mean_power(predictions: Numbers, references: Numbers, power: int) -> float:
    import numpy as np

    if not references:
        return math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        errors = np.asarray(predictions, np.float64) - np.asarray(references, np.float64)
        return float((np.abs(errors) ** power).mean())


def _distances(inputs: Inputs) -> Array:
    return squares(inputs) ** 0.5


def _scaled_rmse(inputs: Inputs) -> Studentised:
    return studentised.root_of_mean_with_tail(squares(inputs))


METRICS = (
    Metric(
        "mse",
        mse,
        INPUTS,
        False,
        "Mean squared error.",
        mean_form(squares, studentised.mean_with_tail, SQUARED),
    ),
    Metric(
        "rmse",
        rmse,
        INPUTS,
        False,
        "Square root of the mean squared error.",
        Form(weighted=sums.rmse, scaled=_scaled_rmse, difference=SQUARED),
    ),
    Metric(
        "mae",
        mae,
        INPUTS,
        False,
        "Mean absolute error.",
        mean_form(_distances, studentised.mean_with_tail),
    ),
    Metric(
        "r2",
        r2,
        INPUTS,
        True,
        "Share of the variance that is explained (scikit-learn's r2_score).",
        Form(weighted=sums.r2, scaled=studentised.r2, difference=SQUARED),
    ),
    Metric(
        "pearson",
        pearson,
        INPUTS,
        True,
        "Pearson's correlation (scipy's pearsonr).",
        Form(weighted=sums.pearson, scaled=studentised.pearson),
    ),
    Metric(
        "spearman",
        spearman,
        INPUTS,
        True,
        "Rank correlation (scipy's spearmanr).",
        Form(weighted=ranks.spearman, difference=RANKED),
    ),
)
