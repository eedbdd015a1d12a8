"""Metrics of an order under row weights: rows are sorted once, replicates only add weights up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hfcli.statistics.sums import correlation

if TYPE_CHECKING:
    from hfcli.statistics.weights import Array, Statistic

    Inputs = Mapping[str, Sequence[Any]]
    OfOneClass = Callable[[Array, Array], Statistic]


def auroc(positive: Array, scores: Array) -> Statistic:
    """Area under the ROC curve of one class; rows with equal scores count half."""
    sorted_sums = _sums_by_score(scores, positive)

    def values(weights: Array) -> Array:
        of_positive, of_all = sorted_sums(weights)
        of_negative = of_all - of_positive
        below = of_negative.cumsum(axis=1) - of_negative / 2
        pairs = of_positive.sum(axis=1) * of_negative.sum(axis=1)
        return _share((of_positive * below).sum(axis=1), pairs)

    return values


def average_precision(positive: Array, scores: Array) -> Statistic:
    """Sum over scores of precision times the gain in recall, of one class."""
    sorted_sums = _sums_by_score(-scores, positive)

    def values(weights: Array) -> Array:
        of_positive, of_all = sorted_sums(weights)
        gained = of_positive * of_positive.cumsum(axis=1)
        precise = _share(gained, of_all.cumsum(axis=1), otherwise=0.0)
        return _share(precise.sum(axis=1), of_positive.sum(axis=1))

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


def _sums_by_score(scores: Array, positive: Array) -> Callable[[Array], tuple[Array, Array]]:
    """Weights -> the sums of positive and of all rows at each score, in ascending order."""
    of_scores, codes = _sums_by_value(scores)
    if int(codes.max()) + 1 == len(codes):
        sorted_positive = positive[codes.argsort()].astype(float)

        def single(weights: Array) -> tuple[Array, Array]:
            of_all = of_scores(weights)
            return of_all * sorted_positive, of_all

        return single
    return lambda weights: (of_scores(weights * positive), of_scores(weights))


def _sums_by_value(values: Array) -> tuple[Callable[[Array], Array], Array]:
    """The sums of weights at each distinct value, ascending; and the place of each row's value."""
    import numpy as np

    from hfcli.statistics.labels import group_sums

    distinct, codes = np.unique(values, return_inverse=True)
    if len(distinct) < len(values):
        return group_sums(codes, len(distinct)), codes
    order = codes.argsort()
    return lambda weights: weights.take(order, axis=1), codes


def _mean(statistics: Sequence[Statistic]) -> Statistic:
    import numpy as np

    return lambda weights: np.mean([statistic(weights) for statistic in statistics], axis=0)


def _share(above: Array, below: Array, otherwise: float = float("nan")) -> Array:
    import numpy as np

    return np.divide(above, below, out=np.full(np.shape(below), otherwise), where=below > 0)
