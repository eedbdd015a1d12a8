"""95 % intervals of metrics: Wilson's where rows are right or wrong, else the bootstrap.

Rows are drawn with replacement from all rows, unless strata are given: data are a sample of what
could have been asked, in which the number of rows of a class is chance too, and intervals that
hold it fixed are too narrow for metrics that depend on it. docs/evaluation.md has the coverage
that was measured, and where it fails.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hfcli.metrics.base import Metric
from hfcli.statistics.neighbours import interval_in_order
from hfcli.statistics.plans import FEWER, REPLICATES, Drawn, Plan, known_form, plan_of
from hfcli.statistics.proportions import wilson
from hfcli.statistics.resamplers import (
    BY_CHANCE,
    CLOSED,
    OF_DOCUMENTS,
    OF_LABELS,
    PROPORTIONS,
    same,
    value_of,
)
from hfcli.statistics.spread import defined_draws
from hfcli.statistics.studentised import symmetric
from hfcli.statistics.weights import Array, Inputs, Options, resampled

LEAST_ROWS = 10  # of fewer, draws are too much alike: the interval would cover far less than 95 %
ROUNDING = 1e-12  # relative


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval.

    Args:
        value: of the metric; may be nan.
        low: None, as `high`, where there is no interval; `method` says why.
        method: how it was computed.
        n: rows.
    """

    value: float
    low: float | None
    high: float | None
    method: str
    n: int


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
    by_chance = BY_CHANCE.get(metric.name)
    if by_chance is None or found.low is None or found.value > by_chance(inputs, seed):
        return found
    return replace(found, low=0.0)


def _without_draws(
    metric: Metric, value: float, inputs: Inputs, n: int, drawn: Drawn
) -> Interval | None:
    if not math.isfinite(value):
        return Interval(value, None, None, "undefined" if math.isnan(value) else "infinite", n)
    if metric.name in PROPORTIONS and same(value * n, round(value * n)):
        return Interval(value, *wilson(round(value * n), n), "Wilson", n)
    if n < LEAST_ROWS:
        what = "document" if metric.name in OF_DOCUMENTS else "row"
        few = f"one {what}" if n == 1 else f"fewer than {LEAST_ROWS} {what}s"
        return Interval(value, None, None, few, n)
    if metric.name in CLOSED and not (drawn.strata and metric.name in OF_LABELS):
        ends, how = CLOSED[metric.name]
        found = ends(inputs, value)
        if found is None:
            return Interval(value, None, None, "one class only", n)
        return Interval(value, *found, how, n)
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
