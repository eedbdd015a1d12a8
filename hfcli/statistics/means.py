"""Metrics that are a mean over rows -> the value of each row."""

from __future__ import annotations

from collections.abc import Callable

from hfcli.metrics.base import Metric
from hfcli.statistics import sums, texts
from hfcli.statistics.labels import ratio
from hfcli.statistics.weights import Array, Inputs


def _hits(metric: Metric, inputs: Inputs) -> Array:
    import numpy as np

    equal: Array = np.asarray(inputs["predictions"]) == np.asarray(inputs["references"])
    return equal.astype(float)


def _wrong_labels(metric: Metric, inputs: Inputs) -> Array:
    return 1 - _hits(metric, inputs).mean(axis=1)


def _all_labels(metric: Metric, inputs: Inputs) -> Array:
    return _hits(metric, inputs).min(axis=1)


def _f1_of_rows(metric: Metric, inputs: Inputs) -> Array:
    import numpy as np

    predicted = np.asarray(inputs["predictions"], float)
    true = np.asarray(inputs["references"], float)
    return ratio(2 * (predicted * true).sum(axis=1), (predicted + true).sum(axis=1))


def _log_losses(metric: Metric, inputs: Inputs) -> Array:
    import numpy as np

    eps = np.finfo(float).eps
    table = np.asarray(inputs["probabilities"], float)
    right = table[np.arange(len(table)), np.asarray(inputs["references"])]
    return -np.log(np.clip(right, eps, 1 - eps))


def brier(metric: Metric, inputs: Inputs) -> Array:
    import numpy as np

    table = np.asarray(inputs["probabilities"], float)
    truth = np.eye(table.shape[1])[np.asarray(inputs["references"])]
    total = ((table - truth) ** 2).sum(axis=1)
    return total / 2 if table.shape[1] == 2 else total


def worst_brier(inputs: Inputs) -> float:
    return 1.0 if len(inputs["probabilities"][0]) == 2 else 2.0


def _squares(metric: Metric, inputs: Inputs) -> Array:
    return sums.squares(inputs)


def _distances(metric: Metric, inputs: Inputs) -> Array:
    return sums.squares(inputs) ** 0.5


def _losses(metric: Metric, inputs: Inputs) -> Array:
    return sums.floats(inputs["nll"])


MEANS: dict[str, Callable[[Metric, Inputs], Array]] = {
    "accuracy": _hits,
    "recall_weighted": _hits,  # each class weighs as many rows as it has: it is the accuracy
    "subset_accuracy": _all_labels,
    "hamming_loss": _wrong_labels,
    "multilabel_f1_samples": _f1_of_rows,
    "log_loss": _log_losses,
    "row_loss": _losses,
    "brier": brier,
    "mse": _squares,
    "mae": _distances,
    **dict.fromkeys(
        ["acc", "acc_norm", "exact_match", "exact_match_squad", "token_f1", "rouge1", "rouge2",
         "rougeL"],
        texts.one_by_one,
    ),
}  # fmt: skip
