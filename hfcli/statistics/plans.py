"""What is drawn for a metric, how often, and what comes of the draws. Draws nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hfcli.metrics.base import Metric
from hfcli.statistics.resamplers import (
    AREAS,
    BUILDERS,
    OF_LABELS,
    SKEWED,
    repeated,
    same,
    studentised_form,
    weighted,
)
from hfcli.statistics.spread import bca, by_logit, percentile
from hfcli.statistics.studentised import Studentised
from hfcli.statistics.weights import (
    Array,
    Inputs,
    Options,
    Statistic,
    Units,
    equal_rows_as_units,
    rows_as_units,
)

REPLICATES = 2_000
ALL_REPLICATES_UP_TO = 50_000  # numbers a draw, rows times classes; of more, fewer draws
LEAST_REPLICATES = 500
SECONDS = 2.0  # for a metric without a fast form
FEWER = (REPLICATES, 1_000, 500, 200, 100)


@dataclass(frozen=True)
class Plan:
    """A metric that is to be resampled.

    Args:
        value: of the metric.
        units: what is drawn.
        draw: weights -> what is kept of each draw: the metric, or what `form` estimates.
        replicates: how many draws; 0: one takes too long.
        ends: the interval from the defined values of the draws, and its name.
        form: the metric with its standard error, where that is known.
    """

    value: float
    units: Units
    draw: Statistic
    replicates: int
    ends: Callable[[Array], tuple[tuple[float, float] | None, str]]
    form: Studentised | None = None


class Drawn:
    """The rows, and what is drawn of them; made once for all metrics."""

    def __init__(self, inputs: Inputs, strata: Sequence[Any] | None) -> None:
        self.inputs = inputs
        self.strata = strata
        self._known: dict[bool, tuple[Units, Inputs]] = {}

    def of(self, metric: Metric) -> tuple[Units, Inputs]:
        """Units and their inputs: single rows, or for a metric of labels, equal rows together."""
        together = metric.name in OF_LABELS
        if together not in self._known:
            self._known[together] = self._equal_rows() if together else self.single_rows()
        return self._known[together]

    def single_rows(self) -> tuple[Units, Inputs]:
        n = len(next(iter(self.inputs.values())))
        return rows_as_units(n, self.strata), self.inputs

    def _equal_rows(self) -> tuple[Units, Inputs]:
        columns = {name: self.inputs[name] for name in ("predictions", "references")}
        units = equal_rows_as_units(list(columns.values()), self.strata)
        first = units.first.tolist()
        return units, {name: [values[i] for i in first] for name, values in columns.items()}


def plan_of(metric: Metric, drawn: Drawn, options: Options, value: float, seconds: float) -> Plan:
    """How a metric is resampled.

    Args:
        metric: any.
        drawn: the rows.
        options: further arguments of metrics.
        value: of the metric.
        seconds: that computing it took.
    """
    units, inputs = drawn.of(metric)
    draws = draws_for(numbers_of(metric, inputs, units), REPLICATES)
    form = known_form(metric, inputs, units, value)
    if form is not None:
        return Plan(value, units, form.drawn or form.estimate, draws, _percentile, form)
    statistic = weighted(metric, inputs, value, units.counts)
    if statistic is None:
        units, inputs = drawn.single_rows()
        statistic, draws = repeated(metric, inputs, options), affordable(seconds)
        return Plan(value, units, statistic, draws, _percentile)
    return Plan(value, units, statistic, draws, _ends(metric, inputs, value, statistic, units))


def known_form(metric: Metric, inputs: Inputs, units: Units, value: float) -> Studentised | None:
    """The metric with its standard error, where that is known and gives its value."""
    form = studentised_form(metric, inputs)
    return form if form is not None and same(form.value(units.counts), value) else None


def affordable(seconds: float) -> int:
    """Replicates of a metric that takes so long; 0 when even the least number takes too long."""
    return next((count for count in FEWER if count * seconds < SECONDS), 0)


def draws_for(numbers: int, wanted: int) -> int:
    """How many draws are affordable, by what one costs (see `numbers_of`) and nothing else."""
    return max(LEAST_REPLICATES, min(wanted, wanted * ALL_REPLICATES_UP_TO // numbers))


def numbers_of(metric: Metric, inputs: Inputs, units: Units) -> int:
    """What one draw costs: the units, as often as the metric goes over them."""
    of_classes = metric.name in BUILDERS and "probabilities" in metric.inputs
    return len(units.counts) * (len(inputs["probabilities"][0]) if of_classes else 1)


def _ends(metric: Metric, inputs: Inputs, value: float, statistic: Statistic, units: Units) -> Any:
    """How the interval of a metric comes from its draws (see `Plan.ends`)."""
    if metric.name in AREAS:
        degrees = AREAS[metric.name](inputs)
        return lambda draws: (by_logit(value, draws, degrees), "logit bootstrap")
    if metric.name in SKEWED:
        return lambda draws: (bca(statistic, units, value, draws), "BCa bootstrap")
    return _percentile


def _percentile(draws: Array) -> tuple[tuple[float, float], str]:
    return percentile(draws), "percentile bootstrap"
