"""Metrics of the probabilities of a single-label classifier.

Column i of a row is the probability of label index i. Each is nan without rows, and where a
probability is nan. Knows nothing about label names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from hfcli.metrics.base import Metric, mean
from hfcli.statistics import ranks, studentised
from hfcli.statistics.form import Form, mean_form
from hfcli.statistics.leave_out import LOGS, ORDERED, Needs
from hfcli.statistics.studentised import Studentised
from hfcli.statistics.weights import Array, Inputs, Statistic

Score = Callable[[Array, Array], float]
Weighted = Callable[[Inputs], Statistic]

INPUTS: dict[str, type] = {"probabilities": list, "references": int}
Labels = Sequence[int]
Probabilities = Sequence[Sequence[float]]


def auroc(probabilities: Probabilities, references: Labels) -> float:
    """Area under the ROC curve, in [0, 1]: the chance that a positive row is scored higher.

    Two classes: of the probability of label index 1. More: the mean over classes of each against
    the rest (Provost & Domingos 2000; scikit-learn's multi_class=ovr, average=macro). nan where a
    class does not occur in the references, or is the only one.
    """
    return _one_against_rest(binary_auroc, probabilities, references)


def average_precision(probabilities: Probabilities, references: Labels) -> float:
    """Area under the precision-recall curve as scikit-learn's step-wise sum, in [0, 1].

    Two classes: of the probability of label index 1. More: the mean over classes of each against
    the rest. nan where such a class does not occur in the references.
    """
    return _one_against_rest(binary_average_precision, probabilities, references)


def log_loss(probabilities: Probabilities, references: Labels) -> float:
    """Mean of -ln p of the right class, in nats.

    p is kept within 2.2e-16 of 0 and 1, as in scikit-learn's log_loss, so that one certain error
    costs 36 and not everything.
    """
    inputs = {"probabilities": probabilities, "references": references}
    return float(_log_losses(inputs).mean()) if references else math.nan


def _log_losses(inputs: Inputs) -> Array:
    import numpy as np

    eps = float(np.finfo(np.float64).eps)
    table = np.asarray(inputs["probabilities"], dtype=np.float64)
    right = table[np.arange(len(table)), np.asarray(inputs["references"])]
    return -np.log(np.clip(right, eps, 1 - eps))


def brier(probabilities: Probabilities, references: Labels) -> float:
    """Mean over rows of the sum over classes of (p - y)^2 (Brier 1950), in [0, 2].

    Two classes: half of that, which is (p - y)^2 of either class, in [0, 1]. Both are
    scikit-learn's brier_score_loss with its default scale.
    """
    inputs = {"probabilities": probabilities, "references": references}
    return float(_briers(inputs).mean()) if references else math.nan


def _briers(inputs: Inputs) -> Array:
    import numpy as np

    table = np.asarray(inputs["probabilities"], dtype=np.float64)
    truth = np.eye(table.shape[1])[np.asarray(inputs["references"])]
    total = ((table - truth) ** 2).sum(axis=1)
    return total / 2 if table.shape[1] == 2 else total


def _scaled_briers(inputs: Inputs) -> Studentised:
    worst = 1.0 if len(inputs["probabilities"][0]) == 2 else 2.0
    return studentised.mean_of_shares(_briers(inputs), worst)


def binary_auroc(positive: Array, scores: Array) -> float:
    """Of one class: `positive` says which rows are of it. nan unless some are and some are not."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    if len(np.unique(positive)) < 2 or not np.isfinite(scores).all():
        return math.nan
    return float(roc_auc_score(positive, scores))


def binary_average_precision(positive: Array, scores: Array) -> float:
    """Of one class: `positive` says which rows are of it. nan where none is."""
    import numpy as np
    from sklearn.metrics import average_precision_score

    if not positive.any() or not np.isfinite(scores).all():
        return math.nan
    return float(average_precision_score(positive, scores))


def _one_against_rest(score: Score, probabilities: Probabilities, references: Labels) -> float:
    import numpy as np

    if not references:
        return math.nan
    table = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(references)
    classes = [1] if table.shape[1] == 2 else range(table.shape[1])
    return mean([score(truth == i, table[:, i]) for i in classes])


def area_form(weighted: Weighted, degrees: Callable[[Inputs], int], difference: Needs) -> Form:
    """Return the form of an area under a curve, averaged over classes or labels.

    Args:
        weighted: inputs -> the metric as a function of row weights.
        degrees: inputs -> degrees of freedom, by the rarer side, on which its errors depend.
        difference: what an interval of its difference needs.
    """
    return Form(weighted=weighted, degrees=degrees, over_classes=True, difference=difference)


def _one_of_classes(area: ranks.OfOneClass) -> Form:
    return area_form(ranks.one_against_rest(area), ranks.rarest_class, ORDERED)


METRICS = (
    Metric(
        "auroc",
        auroc,
        INPUTS,
        True,
        "Area under the ROC curve; two classes: of label 1, more: mean of each against the rest"
        " (scikit-learn's roc_auc_score).",
        _one_of_classes(ranks.auroc),
    ),
    Metric(
        "average_precision",
        average_precision,
        INPUTS,
        True,
        "Area under the precision-recall curve; two classes: of label 1, more: mean of each"
        " against the rest (scikit-learn's average_precision_score).",
        _one_of_classes(ranks.average_precision),
    ),
    Metric(
        "log_loss",
        log_loss,
        INPUTS,
        False,
        "Mean -ln p of the right class, in nats.",
        mean_form(_log_losses, studentised.mean, LOGS),
    ),
    Metric(
        "brier",
        brier,
        INPUTS,
        False,
        "Mean squared error of the probabilities, summed over classes; halved for two classes"
        " (Brier 1950, scikit-learn's brier_score_loss).",
        Form(rows=_briers, scaled=_scaled_briers),
    ),
)
