"""Metrics of multi-label classification, where a row has any number of labels.

Predictions and references are a list of 0 and 1 a row, probabilities a list of numbers, in the
order of the label indices. Precision, recall and F1 are scikit-learn's with `zero_division=0`,
computed here, because scikit-learn takes a single label for a two-class problem. Each is nan
without rows. Knows nothing about label names.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

from hfcli.metrics.base import Metric, mean
from hfcli.metrics.classification import hits
from hfcli.metrics.probabilistic import area_form, binary_auroc, binary_average_precision
from hfcli.statistics import ranks, studentised
from hfcli.statistics.form import Form, mean_form, proportion
from hfcli.statistics.leave_out import BY_LABEL, ORDERED_BY_LABEL, Needs
from hfcli.statistics.sums import floats, set_ratio, share
from hfcli.statistics.weights import Array, Inputs

INPUTS: dict[str, type] = {"predictions": list, "references": list}
PROBABILITY_INPUTS: dict[str, type] = {"probabilities": list, "references": list}
# What is counted together: everything, each label, or each row.
AXES: dict[str, int | None] = {"micro": None, "macro": 0, "samples": 1}
# What the hits are divided by.
COUNTED = {
    "f1": ("predictions", "references"),
    "precision": ("predictions",),
    "recall": ("references",),
}
Rows = Sequence[Sequence[float]]


def subset_accuracy(predictions: Rows, references: Rows) -> float:
    """Share of rows with all labels right, in [0, 1] (scikit-learn's accuracy_score)."""
    predicted, true = _table(predictions), _table(references)
    return float((predicted == true).all(axis=1).mean()) if references else math.nan


def hamming_loss(predictions: Rows, references: Rows) -> float:
    """Share of wrong labels over all rows, in [0, 1] (scikit-learn's hamming_loss)."""
    predicted, true = _table(predictions), _table(references)
    return float((predicted != true).mean()) if references else math.nan


def precision(predictions: Rows, references: Rows, *, average: str) -> float:
    """True among the predicted labels, in [0, 1]; 0 where none is predicted."""
    predicted, true = _table(predictions), _table(references)
    return _mean_ratio(predicted & true, [predicted], AXES[average])


def recall(predictions: Rows, references: Rows, *, average: str) -> float:
    """Predicted among the true labels, in [0, 1]; 0 where none is true."""
    predicted, true = _table(predictions), _table(references)
    return _mean_ratio(predicted & true, [true], AXES[average])


def f1(predictions: Rows, references: Rows, *, average: str) -> float:
    """2 hits / (predicted + true labels), in [0, 1]; 0 where there are neither."""
    predicted, true = _table(predictions), _table(references)
    return _mean_ratio(predicted & true, [predicted, true], AXES[average])


def auroc_macro(probabilities: Rows, references: Rows) -> float:
    """Mean over labels of the area under the ROC curve, in [0, 1].

    nan where a label is true in no row or in every row, or a probability is nan.
    """
    return _mean_over_labels(binary_auroc, probabilities, references)


def average_precision_macro(probabilities: Rows, references: Rows) -> float:
    """Mean over labels of the average precision, in [0, 1].

    nan where a label is true in no row, or a probability is nan.
    """
    return _mean_over_labels(binary_average_precision, probabilities, references)


def _table(rows: Rows) -> Array:
    import numpy as np

    return np.asarray(rows, dtype=bool)


def _mean_ratio(hits: Array, counted: list[Array], axis: int | None) -> float:
    """Mean of hits / mean size of `counted` along the axis; 0 where the latter is 0."""
    import numpy as np

    if not len(hits):
        return math.nan
    found = np.atleast_1d(hits.sum(axis=axis)) * len(counted)
    total = np.atleast_1d(sum(table.sum(axis=axis) for table in counted))
    return float(np.divide(found, total, out=np.zeros(len(found)), where=total > 0).mean())


def _mean_over_labels(
    score: Callable[[Array, Array], float], probabilities: Rows, references: Rows
) -> float:
    import numpy as np

    if not references:
        return math.nan
    table, true = np.asarray(probabilities, dtype=np.float64), _table(references)
    return mean([score(true[:, i], table[:, i]) for i in range(table.shape[1])])


def _all_right(inputs: Inputs) -> Array:
    return hits(inputs).min(axis=1)


def _shares_of_wrong_labels(inputs: Inputs) -> Array:
    return 1 - hits(inputs).mean(axis=1)


def _f1_of_rows(inputs: Inputs) -> Array:
    predicted, true = floats(inputs["predictions"]), floats(inputs["references"])
    both, either = (predicted * true).sum(axis=1), (predicted + true).sum(axis=1)
    return share(2 * both, either, otherwise=0.0)


def _ratio_form(kind: str, average: str) -> Form:
    if average == "samples":
        return mean_form(_f1_of_rows, studentised.mean_of_shares)
    macro = average == "macro"
    return Form(
        weighted=set_ratio(COUNTED[kind], macro=macro),
        skewed=True,
        difference=BY_LABEL if macro else Needs(),
    )


def _averaged(function: Callable[..., float], average: str) -> Metric:
    kind = function.__name__
    return Metric(
        name=f"multilabel_{kind}_{average}",
        compute=functools.partial(function, average=average),
        inputs=INPUTS,
        higher_is_better=True,
        description=f"scikit-learn's {kind}_score of label sets with average={average}.",
        form=_ratio_form(kind, average),
    )


METRICS = (
    Metric(
        "subset_accuracy",
        subset_accuracy,
        INPUTS,
        True,
        "Share of rows with all labels right.",
        proportion(_all_right),
    ),
    Metric(
        "hamming_loss",
        hamming_loss,
        INPUTS,
        False,
        "Share of wrong labels over all rows (scikit-learn's hamming_loss).",
        mean_form(_shares_of_wrong_labels, studentised.mean_of_shares),
    ),
    _averaged(f1, "micro"),
    _averaged(f1, "macro"),
    _averaged(f1, "samples"),
    _averaged(precision, "micro"),
    _averaged(precision, "macro"),
    _averaged(recall, "micro"),
    _averaged(recall, "macro"),
    Metric(
        "multilabel_auroc_macro",
        auroc_macro,
        PROBABILITY_INPUTS,
        True,
        "Mean over labels of the area under the ROC curve (scikit-learn's roc_auc_score).",
        area_form(ranks.over_labels(ranks.auroc), ranks.rarest_label, ORDERED_BY_LABEL),
    ),
    Metric(
        "multilabel_average_precision_macro",
        average_precision_macro,
        PROBABILITY_INPUTS,
        True,
        "Mean over labels of scikit-learn's average_precision_score.",
        area_form(ranks.over_labels(ranks.average_precision), ranks.rarest_label, ORDERED_BY_LABEL),
    ),
)
