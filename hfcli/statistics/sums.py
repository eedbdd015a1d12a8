"""Metrics that are functions of weighted sums over rows: means, errors, correlations, ratios.

A builder takes a metric's inputs and gives the metric as a function of row weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from hfcli.statistics.weights import Array, Inputs, Statistic


def mean_of(values: Array) -> Statistic:
    """The weighted mean of a value a row."""
    return lambda weights: weights @ values / weights.sum(axis=1)


def ratio(above: str, below: str, transform: Callable[[Array], Array]) -> Any:
    """transform(sum of one input / sum of another)."""

    def build(inputs: Inputs) -> Statistic:
        top, bottom = floats(inputs[above]), floats(inputs[below])

        def values(weights: Array) -> Array:
            import numpy as np

            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                return transform((weights @ top) / (weights @ bottom))

        return values

    return build


def share(above: Array, below: Array, otherwise: float = math.nan) -> Array:
    """Return above / below, and something else where below is 0."""
    import numpy as np

    return np.divide(above, below, out=np.full(np.shape(below), otherwise), where=below > 0)


def exp(values: Array) -> Array:
    import numpy as np

    return np.exp(values)


def same(values: Array) -> Array:
    return values


def per_bit(values: Array) -> Array:
    return values / math.log(2)


def squares(inputs: Inputs) -> Array:
    """Squared error of each row."""
    errors: Array = floats(inputs["predictions"]) - floats(inputs["references"])
    return errors**2


def rmse(inputs: Inputs) -> Statistic:
    import numpy as np

    mean = mean_of(squares(inputs))
    return lambda weights: np.sqrt(mean(weights))


def r2(inputs: Inputs) -> Statistic:
    references = centred(inputs["references"])
    mean_error, mean, mean_square = (
        mean_of(squares(inputs)), mean_of(references), mean_of(references**2)
    )  # fmt: skip
    return lambda weights: (
        1 - mean_error(weights) / _positive(mean_square(weights) - mean(weights) ** 2)
    )


def pearson(inputs: Inputs) -> Statistic:
    x, y = centred(inputs["predictions"]), centred(inputs["references"])
    table = _stack([x, y, x * x, y * y, x * y])
    return lambda weights: correlation(*((weights @ table) / weights.sum(axis=1)[:, None]).T)


def correlation(x: Array, y: Array, xx: Array, yy: Array, xy: Array) -> Array:
    """Pearson's correlation from the means of x, y, x^2, y^2 and xy."""
    import numpy as np

    spread = _positive(xx - x * x) * _positive(yy - y * y)
    return (xy - x * y) / np.sqrt(spread)


def set_ratio(kinds: Sequence[str], *, macro: bool) -> Any:
    """Of label sets: hits / mean size of `kinds` (inputs), over each label or over all."""

    def build(inputs: Inputs) -> Statistic:
        import numpy as np

        tables = [np.asarray(inputs[kind], dtype=float) for kind in kinds]
        hits = floats(inputs["predictions"]) * floats(inputs["references"]) * len(kinds)
        counted: Array = sum(tables[1:], tables[0])
        if not macro:
            hits, counted = hits.sum(axis=1, keepdims=True), counted.sum(axis=1, keepdims=True)
        return lambda weights: share(weights @ hits, weights @ counted, otherwise=0.0).mean(axis=1)

    return build


def _positive(values: Array) -> Array:
    """A variance that is 0, or below it by rounding, divides nothing."""
    import numpy as np

    return np.where(values > 0, values, np.nan)


def centred(values: Sequence[float]) -> Array:
    """Less their mean: differences of squares of large numbers would be noise."""
    found = floats(values)
    return found - found.mean()


def _stack(columns: Sequence[Array]) -> Array:
    import numpy as np

    return np.stack(columns, axis=1)


def floats(values: Any) -> Array:
    import numpy as np

    return np.asarray(values, dtype=float)
