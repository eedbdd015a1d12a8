"""95 % intervals of metrics: Wilson's where rows are right or wrong, else the bootstrap.

Rows are drawn with replacement from all rows, unless strata are given: data are a sample of what
could have been asked, in which the number of rows of a class is chance too, and intervals that
hold it fixed are too narrow for metrics that depend on it. docs/evaluation.md has the coverage
that was measured, and where it fails.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hfcli.statistics.blocks import interval_in_order
from hfcli.statistics.form import Metric, repeated, same, value_of, weighted
from hfcli.statistics.proportions import Interval, wilson
from hfcli.statistics.spread import bca, by_logit, defined_draws, percentile
from hfcli.statistics.studentised import Studentised, symmetric
from hfcli.statistics.weights import (
    Array,
    Inputs,
    Options,
    Statistic,
    Units,
    equal_rows_as_units,
    resampled,
    rows_as_units,
)

LEAST_ROWS = 10  # of fewer, draws are too much alike: the interval would cover far less than 95 %
ROUNDING = 1e-12  # relative
REPLICATES = 2_000
ALL_REPLICATES_UP_TO = 50_000  # numbers a draw, rows times classes; of more, fewer draws
LEAST_REPLICATES = 500
SECONDS = 2.0  # for a metric without a fast form
FEWER = (REPLICATES, 1_000, 500, 200, 100)


def intervals(
    *,
    metrics: Mapping[str, Metric],
    inputs: Inputs,
    options: Options,
    seed: int,
    strata: Sequence[Any] | None = None,
    in_order: bool = False,
) -> dict[str, Interval]:
    """The interval of every metric that is a number; matrices and lists are left out.

    Args:
        metrics: name -> metric.
        inputs: argument name -> one element a row, all that the metrics read.
        options: further arguments of the metrics.
        seed: the same gives the same intervals, whatever else is asked for.
        strata: of each row; every draw has as many rows of each as the data.
        in_order: rows follow each other, and may be alike where they do.
    """
    n = len(next(iter(inputs.values()), ()))
    found: dict[str, Interval] = {}
    plans: dict[str, Plan] = {}
    drawn = Drawn(inputs, strata)
    for name, metric in metrics.items():
        if metric.higher_is_better is None:
            continue
        start = time.perf_counter()
        value = float(value_of(metric, inputs, options))
        seconds = time.perf_counter() - start
        closed = _without_draws(metric, value, inputs, n, drawn)
        if closed is None and in_order:
            closed = _in_order(metric, drawn, value, seed)
        if closed is None:
            plans[name] = plan_of(metric, drawn, options, value, seconds)
        else:
            found[name] = closed
    draws = _draw(plans, seed)
    found |= {name: _interval(plan, draws.get(name)) for name, plan in plans.items()}
    return {
        name: _down_to_chance(metrics[name], found[name], inputs, seed)
        for name in metrics
        if name in found
    }


def _down_to_chance(metric: Metric, found: Interval, inputs: Inputs, seed: int) -> Interval:
    """From 0, where the data do not exclude it, though no draw of them comes near."""
    by_chance = metric.form.by_chance
    if by_chance is None or found.low is None or found.value > by_chance(inputs, seed):
        return found
    return replace(found, low=0.0)


def _without_draws(
    metric: Metric, value: float, inputs: Inputs, n: int, drawn: Drawn
) -> Interval | None:
    if not math.isfinite(value):
        return Interval(value, None, None, "undefined" if math.isnan(value) else "infinite", n)
    if metric.form.is_proportion and same(value * n, round(value * n)):
        return Interval(value, *wilson(round(value * n), n), "Wilson", n)
    if n < LEAST_ROWS:
        what = "document" if metric.form.of_documents else "row"
        few = f"one {what}" if n == 1 else f"fewer than {LEAST_ROWS} {what}s"
        return Interval(value, None, None, few, n)
    if metric.form.closed is not None and not (drawn.strata and metric.form.counts):
        found = metric.form.closed(inputs, value)
        if found is None:
            return Interval(value, None, None, "one class only", n)
        return Interval(value, *found, metric.form.closed_by, n)
    return None


def _in_order(metric: Metric, drawn: Drawn, value: float, seed: int) -> Interval | None:
    """Of rows that follow each other."""
    units, inputs = drawn.single_rows()
    form = known_form(metric, inputs, units, value)
    found = form and interval_in_order(form, units.counts, seed, REPLICATES)
    how = f"studentised sieve bootstrap, {REPLICATES:,} draws"
    return Interval(value, *found, how, units.n) if found else None


def _draw(plans: Mapping[str, Plan], seed: int) -> dict[str, Array]:
    """The values of every metric on its draws; metrics with the same units share them."""
    import numpy as np

    alike: dict[tuple[int, int], dict[str, Plan]] = {}
    for name, plan in plans.items():
        if plan.replicates:
            alike.setdefault((id(plan.units), plan.replicates), {})[name] = plan
    values: dict[str, list[Array]] = {name: [] for some in alike.values() for name in some}
    for (_, replicates), some in alike.items():
        for weights in resampled(next(iter(some.values())).units, replicates, seed):
            for name, plan in some.items():
                values[name].append(plan.draw(weights))
    return {name: np.concatenate(blocks) for name, blocks in values.items()}


def _interval(plan: Plan, draws: Array | None) -> Interval:
    """What the draws say."""
    import numpy as np

    n, value = plan.units.n, plan.value
    if draws is None:
        return Interval(value, None, None, f"too slow for {FEWER[-1]} draws", n)
    if plan.form is not None:
        found = symmetric(plan.form, plan.units.counts, draws)
        if found is not None:
            return Interval(value, *found, f"studentised bootstrap, {len(draws):,} draws", n)
        draws = plan.form.values(draws)
    defined = defined_draws(draws)
    if defined is None:
        share = 1 - np.isfinite(draws).mean()
        return Interval(value, None, None, f"undefined in {share:.0%} of the draws", n)
    if np.ptp(defined) <= ROUNDING * abs(value):
        return Interval(value, None, None, "the same in all draws", n)
    ends, how = plan.ends(defined)
    low, high = ends or (None, None)
    return Interval(value, low, high, f"{how}, {len(draws):,} draws", n)


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
        together = metric.form.counts is not None
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
    form = metric.form.scaled and metric.form.scaled(inputs)
    return form if form is not None and same(form.value(units.counts), value) else None


def affordable(seconds: float) -> int:
    """Replicates of a metric that takes so long; 0 when even the least number takes too long."""
    return next((count for count in FEWER if count * seconds < SECONDS), 0)


def draws_for(numbers: int, wanted: int) -> int:
    """How many draws are affordable, by what one costs (see `numbers_of`) and nothing else."""
    return max(LEAST_REPLICATES, min(wanted, wanted * ALL_REPLICATES_UP_TO // numbers))


def numbers_of(metric: Metric, inputs: Inputs, units: Units) -> int:
    """What one draw costs: the units, as often as the metric goes over them."""
    passes = len(inputs["probabilities"][0]) if metric.form.over_classes else 1
    return len(units.counts) * passes


def _ends(metric: Metric, inputs: Inputs, value: float, statistic: Statistic, units: Units) -> Any:
    """How the interval of a metric comes from its draws (see `Plan.ends`)."""
    if metric.form.degrees is not None:
        degrees = metric.form.degrees(inputs)
        return lambda draws: (by_logit(value, draws, degrees), "logit bootstrap")
    if metric.form.skewed:
        return lambda draws: (bca(statistic, units, value, draws), "BCa bootstrap")
    return _percentile


def _percentile(draws: Array) -> tuple[tuple[float, float], str]:
    return percentile(draws), "percentile bootstrap"
