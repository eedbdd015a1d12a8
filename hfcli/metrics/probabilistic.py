"""Metrics of the probabilities of a single-label classifier.

Column i of a row is the probability of label index i. Each is nan without rows, and where a
probability is nan. Knows nothing about label names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hfcli.metrics.base import Metric, mean

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Score = Callable[[Array, Array], float]

INPUTS: dict[str, type] = {"probabilities": list, "references": int}
BINS = 15
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
    import numpy as np

    if not references:
        return math.nan
    eps = float(np.finfo(np.float64).eps)
    table = np.asarray(probabilities, dtype=np.float64)
    right = table[np.arange(len(table)), np.asarray(references)]
    return float(-np.log(np.clip(right, eps, 1 - eps)).mean())


def brier(probabilities: Probabilities, references: Labels) -> float:
    """Mean over rows of the sum over classes of (p - y)^2 (Brier 1950), in [0, 2].

    Two classes: half of that, which is (p - y)^2 of either class, in [0, 1]. Both are
    scikit-learn's brier_score_loss with its default scale.
    """
    import numpy as np

    if not references:
        return math.nan
    table = np.asarray(probabilities, dtype=np.float64)
    truth = np.eye(table.shape[1])[np.asarray(references)]
    total = float(((table - truth) ** 2).sum(axis=1).mean())
    return total / 2 if table.shape[1] == 2 else total


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


METRICS = (
    Metric(
        "auroc",
        auroc,
        INPUTS,
        True,
        "Area under the ROC curve; two classes: of label 1, more: mean of each against the rest"
        " (scikit-learn's roc_auc_score).",
    ),
    Metric(
        "average_precision",
        average_precision,
        INPUTS,
        True,
        "Area under the precision-recall curve; two classes: of label 1, more: mean of each"
        " against the rest (scikit-learn's average_precision_score).",
    ),
    Metric("log_loss", log_loss, INPUTS, False, "Mean -ln p of the right class, in nats."),
    Metric(
        "brier",
        brier,
        INPUTS,
        False,
        "Mean squared error of the probabilities, summed over classes; halved for two classes"
        " (Brier 1950, scikit-learn's brier_score_loss).",
    ),
    Metric(
        "ece",
        ece,
        INPUTS,
        False,
        f"Expected calibration error of the most probable class in {BINS} bins of equal width"
        " (Guo et al. 2017).",
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
