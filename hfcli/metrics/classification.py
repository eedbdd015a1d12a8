"""Metrics of single-label classification, computed by scikit-learn from label indices.

Averages follow scikit-learn's defaults: classes that occur in the references or the predictions,
and 0 where a class was never predicted. Knows nothing about label names.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from hfcli.metrics.base import Metric

INPUTS: dict[str, type] = {"predictions": int, "references": int}
Labels = Sequence[int]


def accuracy(predictions: Labels, references: Labels) -> float:
    """Share of equal pairs, in [0, 1]."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(references, predictions))


def averaged(predictions: Labels, references: Labels, *, score: str, average: str) -> float:
    """scikit-learn's f1_score, precision_score or recall_score over classes, in [0, 1]."""
    import sklearn.metrics

    function: Any = getattr(sklearn.metrics, score)
    return float(function(references, predictions, average=average, zero_division=0))


def matthews_correlation(predictions: Labels, references: Labels) -> float:
    """Matthews correlation coefficient, multi-class (Gorodkin 2004), in [-1, 1]."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(references, predictions))


def confusion_matrix(
    predictions: Labels, references: Labels, labels: Labels | None = None
) -> list[list[int]]:
    """Counts, rows are references and columns predictions, in the order of `labels`."""
    from sklearn.metrics import confusion_matrix as matrix

    counts: list[list[int]] = matrix(references, predictions, labels=labels).tolist()
    return counts


def _averaged(kind: str, average: str) -> Metric:
    return Metric(
        name=f"{kind}_{average}",
        compute=functools.partial(averaged, score=f"{kind}_score", average=average),
        inputs=INPUTS,
        higher_is_better=True,
        description=f"scikit-learn's {kind}_score with average={average}.",
    )


METRICS = (
    Metric("accuracy", accuracy, INPUTS, True, "Share of correct predictions."),
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
        "confusion_matrix",
        confusion_matrix,
        INPUTS,
        None,
        "Counts; rows are true labels, columns predictions.",
        options=("labels",),
    ),
)
