"""Metrics of single-label classification, computed by scikit-learn from label indices.

Averages follow scikit-learn's defaults: classes that occur in the references or the predictions,
and 0 (`zero_division=0`) for the precision of a class that was never predicted, the recall of one
that never occurs, and the F1 of one that is neither. Under row weights, all of them are functions
of three sums a class. Knows nothing about label names.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hfcli.metrics.base import Metric
from hfcli.statistics.confusions import Counts, Formula
from hfcli.statistics.form import Form, counts_form, proportion
from hfcli.statistics.leave_out import BY_CLASS
from hfcli.statistics.proportions import f1_intervals, precision_intervals, recall_intervals
from hfcli.statistics.sums import share
from hfcli.statistics.weights import Array, Inputs

INPUTS: dict[str, type] = {"predictions": int, "references": int}
ROUNDING = 1e-13  # relative
Labels = Sequence[int]


def accuracy(predictions: Labels, references: Labels) -> float:
    """Share of equal pairs, in [0, 1]; nan without rows."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(references, predictions)) if references else math.nan


def balanced_accuracy(predictions: Labels, references: Labels) -> float:
    """Mean recall of the classes that occur in the references, in [0, 1]; nan without rows.

    Equals scikit-learn's balanced_accuracy_score, which warns where a class occurs in the
    predictions only.
    """
    from sklearn.metrics import recall_score

    if not references:
        return math.nan
    present = sorted(set(references))
    return float(
        recall_score(references, predictions, labels=present, average="macro", zero_division=0)
    )


def averaged(predictions: Labels, references: Labels, *, score: str, average: str) -> float:
    """scikit-learn's f1_score, precision_score or recall_score over classes, in [0, 1].

    nan without rows.
    """
    import sklearn.metrics

    if not references:
        return math.nan
    function: Any = getattr(sklearn.metrics, score)
    return float(function(references, predictions, average=average, zero_division=0))


def per_class(
    predictions: Labels, references: Labels, labels: Labels | None = None, *, score: str
) -> list[float]:
    """The same three for each of `labels` (default: those that occur, sorted), each in [0, 1].

    nan for every label without rows.
    """
    import sklearn.metrics

    labels = _labels(predictions, references, labels)
    if not references:
        return [math.nan for _ in labels]
    function: Any = getattr(sklearn.metrics, score)
    values: list[float] = function(
        references, predictions, average=None, labels=labels, zero_division=0
    ).tolist()
    return values


def support_per_class(
    predictions: Labels, references: Labels, labels: Labels | None = None
) -> list[int]:
    """How many references have each of `labels` (default: those that occur, sorted)."""
    counts = Counter(references)
    return [counts[label] for label in _labels(predictions, references, labels)]


def matthews_correlation(predictions: Labels, references: Labels) -> float:
    """Matthews correlation coefficient, multi-class (Gorodkin 2004), in [-1, 1].

    0 where all predictions, or all references, are of one class: the definition is 0/0 then, and
    0 is what scikit-learn's matthews_corrcoef makes of it. nan without rows.
    """
    from sklearn.metrics import matthews_corrcoef

    if not len(references):
        return math.nan
    if min(len(set(predictions)), len(set(references))) < 2:
        return 0.0  # its value for these, of which it would warn
    return float(matthews_corrcoef(references, predictions))


def cohen_kappa(predictions: Labels, references: Labels) -> float:
    """Cohen's kappa (1960), unweighted, at most 1.

    nan where predictions and references are all of the same one class: agreement by chance is 1
    then, and the definition 0/0.
    """
    from sklearn.metrics import cohen_kappa_score

    if len({*predictions, *references}) < 2:
        return math.nan
    return float(cohen_kappa_score(references, predictions))


def confusion_matrix(
    predictions: Labels, references: Labels, labels: Labels | None = None
) -> list[list[int]]:
    """Counts, rows are references and columns predictions, in the order of `labels`.

    Default: the labels that occur, sorted.
    """
    labels = _labels(predictions, references, labels)
    counts = Counter(zip(references, predictions, strict=True))
    return [[counts[true, predicted] for predicted in labels] for true in labels]


def _labels(predictions: Labels, references: Labels, labels: Labels | None) -> list[int]:
    return sorted({*predictions, *references}) if labels is None else list(labels)


def _precision(counts: Counts) -> Array:
    return share(counts.right, counts.predicted, otherwise=0.0)


def _recall(counts: Counts) -> Array:
    return share(counts.right, counts.true, otherwise=0.0)


def _f1(counts: Counts) -> Array:
    return share(2 * counts.right, counts.predicted + counts.true, otherwise=0.0)


def _macro(score: Formula) -> Formula:
    """The mean over the classes that occur."""

    def formula(counts: Counts) -> Array:
        occurs = (counts.predicted + counts.true) > 0
        return (score(counts) * occurs).sum(axis=1) / occurs.sum(axis=1)

    return formula


def _weighted(score: Formula) -> Formula:
    """The mean over classes, each weighing as many rows as are of it."""

    def formula(counts: Counts) -> Array:
        return (score(counts) * counts.true).sum(axis=1) / counts.total

    return formula


def _accuracy(counts: Counts) -> Array:
    return counts.right.sum(axis=1) / counts.total


def _balanced_accuracy(counts: Counts) -> Array:
    """Mean recall of the classes that occur in the references."""
    return _recall(counts).sum(axis=1) / (counts.true > 0).sum(axis=1)


def _matthews_correlation(counts: Counts) -> Array:
    """Gorodkin's multi-class coefficient; 0 where one class takes all."""
    import numpy as np

    total = counts.total
    shared = counts.right.sum(axis=1) * total - (counts.predicted * counts.true).sum(axis=1)
    spread = (total**2 - (counts.predicted**2).sum(axis=1)) * (
        total**2 - (counts.true**2).sum(axis=1)
    )
    spread = np.where(spread > ROUNDING * total**4, spread, 0)
    return share(shared, np.sqrt(spread), otherwise=0.0)


def _cohen_kappa(counts: Counts) -> Array:
    """Agreement beyond chance; not defined where chance agrees always."""
    import numpy as np

    chance = (counts.predicted * counts.true).sum(axis=1) / counts.total**2
    below = np.where(chance < 1, 1 - chance, np.nan)
    return (_accuracy(counts) - chance) / below


def hits(inputs: Inputs) -> Array:
    """Return 1 where a prediction is right and 0 where it is not; of sets, for each label."""
    import numpy as np

    equal: Array = np.asarray(inputs["predictions"]) == np.asarray(inputs["references"])
    return equal.astype(float)


SCORES: dict[str, Formula] = {"f1": _f1, "precision": _precision, "recall": _recall}
EACH_CLASS = {
    "f1": f1_intervals, "precision": precision_intervals, "recall": recall_intervals
}  # fmt: skip


def _averaged(kind: str, average: str) -> Metric:
    form = (
        counts_form(_macro(SCORES[kind]), difference=BY_CLASS)
        if average == "macro"
        else counts_form(_weighted(SCORES[kind]))
    )
    if (kind, average) == ("recall", "weighted"):
        # Each class weighs as many rows as it has: it is the accuracy.
        form = replace(form, rows=hits, is_proportion=True)
    return Metric(
        name=f"{kind}_{average}",
        compute=functools.partial(averaged, score=f"{kind}_score", average=average),
        inputs=INPUTS,
        higher_is_better=True,
        description=f"scikit-learn's {kind}_score with average={average}.",
        form=form,
    )


def _per_class(kind: str) -> Metric:
    return Metric(
        name=f"{kind}_per_class",
        compute=functools.partial(per_class, score=f"{kind}_score"),
        inputs=INPUTS,
        higher_is_better=None,
        description=f"scikit-learn's {kind}_score of each class, in the order of the labels.",
        form=Form(each_class=EACH_CLASS[kind]),
        options=("labels",),
    )


METRICS = (
    Metric("accuracy", accuracy, INPUTS, True, "Share of correct predictions.", proportion(hits)),
    Metric(
        "balanced_accuracy",
        balanced_accuracy,
        INPUTS,
        True,
        "Mean recall of the classes that occur (scikit-learn's balanced_accuracy_score).",
        counts_form(_balanced_accuracy, difference=BY_CLASS),
    ),
    _averaged("f1", "macro"),
    _averaged("f1", "weighted"),
    _averaged("precision", "macro"),
    _averaged("precision", "weighted"),
    _averaged("recall", "macro"),
    _averaged("recall", "weighted"),
    Metric(
        "matthews_correlation",
        matthews_correlation,
        INPUTS,
        True,
        "Matthews correlation coefficient (scikit-learn's matthews_corrcoef).",
        counts_form(_matthews_correlation, least=-1.0, difference=BY_CLASS),
    ),
    Metric(
        "cohen_kappa",
        cohen_kappa,
        INPUTS,
        True,
        "Cohen's kappa, unweighted (scikit-learn's cohen_kappa_score).",
        counts_form(_cohen_kappa, least=-1.0, difference=BY_CLASS),
    ),
    _per_class("precision"),
    _per_class("recall"),
    _per_class("f1"),
    Metric(
        "support_per_class",
        support_per_class,
        INPUTS,
        None,
        "References of each class, in the order of the labels.",
        options=("labels",),
    ),
    Metric(
        "confusion_matrix",
        confusion_matrix,
        INPUTS,
        None,
        "Counts; rows are true labels, columns predictions.",
        options=("labels",),
    ),
)
