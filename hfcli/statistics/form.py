"""What is known of a metric beside its formula: its form under row weights, how sure it is.

A form is used only where it gives the metric's own value on the rows as they are; any other metric
is computed again on repeated rows.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hfcli.statistics.confusions import Formula, label_interval, label_statistic
from hfcli.statistics.leave_out import Needs
from hfcli.statistics.proportions import Interval
from hfcli.statistics.studentised import Studentised
from hfcli.statistics.sums import mean_of
from hfcli.statistics.weights import Array, Inputs, Options, Statistic

Rows = Callable[[Inputs], Array]
NO_NEEDS = Needs()


@dataclass(frozen=True)
class Form:
    """What is known of a metric; by default nothing.

    Args:
        rows: inputs -> the value of each row, where the metric is their mean.
        weighted: inputs -> the metric as a function of row weights, where it is not.
        scaled: inputs -> the metric on a scale where it has a standard error.
        closed: inputs and value -> the ends of an interval without draws; None: one class only.
        closed_by: what that interval is called.
        counts: the metric as a function of the counts of classes; equal rows are drawn together.
        least: what it can be; of a metric of `counts`.
        each_class: inputs and classes -> an interval a class, of a metric that is a list.
        degrees: inputs -> degrees of freedom of an interval on the logit scale.
        by_chance: inputs and seed -> up to where a metric whose best value is 0 is above it by
            chance.
        is_proportion: rows are right (1) or wrong (0).
        of_documents: rows are documents.
        over_classes: a draw goes over the rows once a class of the `probabilities`.
        skewed: draws are skewed, and BCa covers better than percentiles; for others it covers
            worse (benchmarks/coverage.py).
        difference: what an interval of a difference needs of the rows.
    """

    rows: Rows | None = None
    weighted: Callable[[Inputs], Statistic] | None = None
    scaled: Callable[[Inputs], Studentised] | None = None
    closed: Callable[[Inputs, float], tuple[float, float] | None] | None = None
    closed_by: str = ""
    counts: Formula | None = None
    least: float = 0.0
    each_class: Callable[[Inputs, Sequence[int]], list[Interval]] | None = None
    degrees: Callable[[Inputs], int] | None = None
    by_chance: Callable[[Inputs, int], float] | None = None
    is_proportion: bool = False
    of_documents: bool = False
    over_classes: bool = False
    skewed: bool = False
    difference: Needs = NO_NEEDS

    def statistic(self, inputs: Inputs) -> Statistic | None:
        """Return the metric as a function of row weights, where that is known."""
        if self.rows is not None:
            return mean_of(self.rows(inputs))
        return None if self.weighted is None else self.weighted(inputs)


class Metric(Protocol):
    """What is asked of a metric here; `hfcli.metrics.base.Metric` is one."""

    @property
    def compute(self) -> Callable[..., Any]: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...
    @property
    def options(self) -> Sequence[str]: ...
    @property
    def higher_is_better(self) -> bool | None: ...
    @property
    def form(self) -> Form: ...


def proportion(rows: Rows) -> Form:
    """Return the form of the share of rows that are right."""
    return Form(rows=rows, is_proportion=True)


def mean_form(
    rows: Rows, scale: Callable[[Array], Studentised], difference: Needs = NO_NEEDS
) -> Form:
    """Return the form of a mean over rows, whose scale is given."""
    return Form(rows=rows, scaled=lambda inputs: scale(rows(inputs)), difference=difference)


def one_by_one(compute: Callable[..., float], names: Collection[str]) -> Rows:
    """Return a metric of each row by itself, as a function of inputs; 0 where it is not defined.

    Args:
        compute: the metric.
        names: of its inputs.
    """

    def rows(inputs: Inputs) -> Array:
        import numpy as np

        columns = [inputs[name] for name in names]
        found = (
            compute(**{name: [value] for name, value in zip(names, row, strict=True)})
            for row in zip(*columns, strict=True)
        )
        return np.nan_to_num(np.fromiter(found, float, len(columns[0])))

    return rows


def counts_form(formula: Formula, *, least: float = 0.0, difference: Needs = NO_NEEDS) -> Form:
    """Return the form of a metric of labels that depends on the counts of each class alone."""
    return Form(
        weighted=functools.partial(label_statistic, formula=formula),
        closed=functools.partial(label_interval, formula=formula, least=least),
        closed_by="delta method, Student's t",
        counts=formula,
        least=least,
        skewed=True,
        difference=difference,
    )


def value_of(metric: Metric, inputs: Inputs, options: Options) -> Any:
    """Return the metric on the rows as they are."""
    return metric.compute(
        **{name: inputs[name] for name in metric.inputs},
        **{name: options[name] for name in metric.options if name in options},
    )


def row_values(metric: Metric, inputs: Inputs, value: float) -> Array | None:
    """Return the value of each row, where the metric is their mean; else None."""
    if metric.form.rows is None:
        return None
    found = metric.form.rows(inputs)
    return found if same(float(found.mean()), value) else None


def right_by(metrics: Mapping[str, Metric]) -> tuple[str, Rows] | None:
    """Return the first metric that says of every row whether it is right, and how (1 or 0)."""
    for name, metric in metrics.items():
        if metric.form.is_proportion and metric.form.rows is not None:
            return name, metric.form.rows
    return None


def weighted(metric: Metric, inputs: Inputs, value: float, counts: Array) -> Statistic | None:
    """Return the metric as a function of weights, where its form gives its value.

    Args:
        metric: any.
        inputs: of the units.
        value: what the metric gives for all rows.
        counts: rows of each unit.
    """
    statistic = metric.form.statistic(inputs)
    if statistic is None or not same(float(statistic(counts[None])[0]), value):
        return None
    return statistic


def repeated(metric: Metric, inputs: Inputs, options: Options) -> Statistic:
    """Return any metric as a function of weights: computed on rows that stand as often."""
    import numpy as np

    columns = {name: inputs[name] for name in metric.inputs}

    def one(weights: Array) -> float:
        rows = np.repeat(np.arange(len(weights)), weights.astype(int)).tolist()
        drawn = {name: [values[i] for i in rows] for name, values in columns.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is not defined on some draw
            return float(value_of(metric, drawn, options))

    return lambda weights: np.array([one(row) for row in weights])


def same(one: float, other: float) -> bool:
    """Return whether two values are equal but for rounding."""
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
