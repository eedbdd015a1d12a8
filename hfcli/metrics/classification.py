"""Metrics of single-label classification, computed by scikit-learn from label indices.

Averages follow scikit-learn's defaults: classes that occur in the references or the predictions,
and 0 (`zero_division=0`) for the precision of a class that was never predicted, the recall of one
that never occurs, and the F1 of one that is neither. Knows nothing about label names.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hfcli.metrics.base import Metric

INPUTS: dict[str, type] = {"predictions": int, "references": int}
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


def _averaged(kind: str, average: str) -> Metric:
    return Metric(
        name=f"{kind}_{average}",
        compute=functools.partial(averaged, score=f"{kind}_score", average=average),
        inputs=INPUTS,
        higher_is_better=True,
        description=f"scikit-learn's {kind}_score with average={average}.",
    )


def _per_class(kind: str) -> Metric:
    return Metric(
        name=f"{kind}_per_class",
        compute=functools.partial(per_class, score=f"{kind}_score"),
        inputs=INPUTS,
        higher_is_better=None,
        description=f"scikit-learn's {kind}_score of each class, in the order of the labels.",
        options=("labels",),
    )


METRICS = (
    Metric("accuracy", accuracy, INPUTS, True, "Share of correct predictions."),
    Metric(
        "balanced_accuracy",
        balanced_accuracy,
        INPUTS,
        True,
        "Mean recall of the classes that occur (scikit-learn's balanced_accuracy_score).",
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
    ),
    Metric(
        "cohen_kappa",
        cohen_kappa,
        INPUTS,
        True,
        "Cohen's kappa, unweighted (scikit-learn's cohen_kappa_score).",
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
