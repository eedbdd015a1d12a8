"""Metrics of an order under row weights: rows are sorted once, replicates only add weights up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hfcli.statistics.sums import correlation, share
from hfcli.statistics.weights import Array, Inputs, Statistic, group_sums

OfOneClass = Callable[[Array, Array], Statistic]


def auroc(positive: Array, scores: Array) -> Statistic:
    """Area under the ROC curve of one class; rows with equal scores count half."""
    import numpy as np

    below = _below(scores, positive)

    def values(weights: Array) -> Array:
        of_all, of_positive = below(weights)
        of_negative = of_all - of_positive
        here = of_positive[:, 1::2] - of_positive[:, ::2]
        pairs = np.einsum("bi,bi->b", here, of_negative[:, ::2] + of_negative[:, 1::2]) / 2
        total, positives = _totals(weights, positive)
        return share(pairs, positives * (total - positives))

    return values


def average_precision(positive: Array, scores: Array) -> Statistic:
    """Sum over scores of precision times the gain in recall, of one class."""
    import numpy as np

    below = _below(scores, positive)

    def values(weights: Array) -> Array:
        of_all, of_positive = below(weights)
        here = of_positive[:, 1::2] - of_positive[:, ::2]
        total, positives = _totals(weights, positive)
        above = total[:, None] - of_all[:, ::2]
        precision = share(positives[:, None] - of_positive[:, ::2], above, otherwise=0.0)
        return share(np.einsum("bi,bi->b", here, precision), positives)

    return values


def one_against_rest(score: OfOneClass) -> Any:
    """Of probabilities and label indices: label 1 of two, the mean over classes of more."""

    def build(inputs: Inputs) -> Statistic:
        import numpy as np

        table = np.asarray(inputs["probabilities"], dtype=float)
        truth = np.asarray(inputs["references"])
        classes = [1] if table.shape[1] == 2 else list(range(table.shape[1]))
        return _mean([score(truth == i, table[:, i]) for i in classes])

    return build


def over_labels(score: OfOneClass) -> Any:
    """Of label sets: the mean over the labels."""

    def build(inputs: Inputs) -> Statistic:
        import numpy as np

        table = np.asarray(inputs["probabilities"], dtype=float)
        truth = np.asarray(inputs["references"], dtype=bool)
        return _mean([score(truth[:, i], table[:, i]) for i in range(table.shape[1])])

    return build


def rarest_class(inputs: Inputs) -> int:
    """Degrees of freedom of an area of `one_against_rest`, by the rarest class."""
    import numpy as np

    classes = len(inputs["probabilities"][0])
    least = int(np.bincount(np.asarray(inputs["references"]), minlength=classes).min())
    return _degrees(least, 1 if classes == 2 else classes)


def rarest_label(inputs: Inputs) -> int:
    """The same of `over_labels`, by the rarest side of a label."""
    import numpy as np

    truth = np.asarray(inputs["references"], dtype=bool)
    true = truth.sum(axis=0)
    return _degrees(int(np.minimum(true, len(truth) - true).min()), len(true))


def _degrees(least: int, areas: int) -> int:
    """Those of two samples as large as the smallest, once for each area that is averaged."""
    return max(1, (2 * least - 2) * areas)


def spearman(inputs: Inputs) -> Statistic:
    """Pearson's correlation of the ranks, equal values sharing their mean rank."""
    import numpy as np

    of_x, of_y = _ranks(inputs["predictions"]), _ranks(inputs["references"])

    def values(weights: Array) -> Array:
        total = weights.sum(axis=1, keepdims=True)
        x, y = of_x(weights) - total / 2, of_y(weights) - total / 2
        means = (np.einsum("bi,bi->b", weights, v) for v in (x, y, x * x, y * y, x * y))
        return correlation(*(mean / total[:, 0] for mean in means))

    return values


def _ranks(values: Sequence[float]) -> Callable[[Array], Array]:
    """Weights -> the mean rank of each row, less a half."""
    import numpy as np

    of_values, codes = _sums_by_value(np.asarray(values, dtype=float))

    def ranks(weights: Array) -> Array:
        sums = of_values(weights)
        return (sums.cumsum(axis=1) - sums / 2).take(codes, axis=1)

    return ranks


def _below(scores: Array, positive: Array) -> Callable[[Array], tuple[Array, Array]]:
    """Weights -> the sums of all rows, and of positive ones, below a score and up to it.

    Of every score that a positive row has, ascending: columns 2 i and 2 i + 1 are of score i. The
    other scores add nothing to an area.
    """
    import numpy as np

    order = scores.argsort(kind="stable")
    of_positive = order[positive[order]]
    stops = np.unique(scores[of_positive])
    all_at, positive_at = (
        np.stack(
            [np.searchsorted(scores[some], stops, side) for side in ("left", "right")], axis=1
        ).ravel()
        for some in (order, of_positive)
    )

    def sums(weights: Array) -> tuple[Array, Array]:
        return _running(weights, order, all_at), _running(weights, of_positive, positive_at)

    return sums


def _running(weights: Array, order: Array, at: Array) -> Array:
    """Running sums in an order, before each of the places `at`."""
    import numpy as np

    sums = np.zeros((len(weights), len(order) + 1))
    np.cumsum(weights.take(order, axis=1), axis=1, out=sums[:, 1:])
    return sums.take(at, axis=1)


def _totals(weights: Array, positive: Array) -> tuple[Array, Array]:
    return weights.sum(axis=1), weights @ positive


def _sums_by_value(values: Array) -> tuple[Callable[[Array], Array], Array]:
    """The sums of weights at each distinct value, ascending; and the place of each row's value."""
    import numpy as np

    distinct, codes = np.unique(values, return_inverse=True)
    if len(distinct) < len(values):
        return group_sums(codes, len(distinct)), codes
    order = codes.argsort()
    return lambda weights: weights.take(order, axis=1), codes


def _mean(statistics: Sequence[Statistic]) -> Statistic:
    import numpy as np

    return lambda weights: np.mean([statistic(weights) for statistic in statistics], axis=0)
