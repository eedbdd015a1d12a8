"""95 % intervals of differences: the jackknife's standard error times Student's t.

Leaving one row out changes the difference of two systems by what that row adds to it, for any
metric (Tukey 1958). The sum of their squares is a variance that is itself estimated, the worse the
longer the tails of what rows add: Satterthwaite's (1946) degrees of freedom come from their fourth
moment. Where few rows decide, no method tried holds 95 %, and there is no interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hfcli.statistics.proportions import TAIL
from hfcli.statistics.sums import floats
from hfcli.statistics.weights import NUMBERS_AT_ONCE, Array, Inputs, Statistic, Units

if TYPE_CHECKING:
    from hfcli.statistics.form import Metric

LEAST_ROWS = 20
LEAST_LABELLED = 50  # of labels and their probabilities
LEAST_LOGS = 100  # of logarithms of probabilities, where a confident error counts for many
LEAST_ORDERED = 200  # where probabilities are ranked: with fewer, too few of them are out of order
LEAST_RANKED = 100  # of rank correlations, whose errors are overestimated with fewer
LEAST_SQUARED = 300  # of squared errors
LEAST_DIFFERING = 6  # rows that the systems label differently, or that one of them has wrong
LEAST_OUT_OF_ORDER = 10  # wrong rows, where probabilities are ranked
LEAST_OF_A_CLASS = 10
LEAST_OF_TWO_CLASSES = 20  # of two classes, one alone decides; of more, they are averaged
# Where one system's squared errors are this many times the other's (of their medians), what a row
# adds to the difference is as skewed as they are, and only light tails allow an interval. Where
# they are alike it is symmetric, and t holds whatever the tails: leaving out samples that look
# heavy would keep just those that miss the truth.
UNLIKE = 1.5
HEAVIEST = 0.6  # Hill's index of squared errors; 0.5: they have no variance
# On Satterthwaite's degrees of freedom. With 1, intervals hold 95 to 97.5 % of differences; with 2,
# 92 to 95 % where documents or rows are 20 (benchmarks/coverage_of_differences.py).
FACTOR = 1.5
MOST_GROUPS = 1_000  # of rows that are left out together

Check = Callable[[Inputs, Inputs], str | None]


@dataclass(frozen=True)
class Needs:
    """What an interval of a metric's difference needs of the rows.

    Args:
        rows: the least number of them; None: 50 of labels, 20 of anything else.
        differing: rows that the systems label differently, or that one of them has wrong.
        unfit: inputs of both systems -> why there is none, or None.
        rare: the same by the rows of a class or a label, which is looked at last.
    """

    rows: int | None = None
    differing: int = LEAST_DIFFERING
    unfit: Check | None = None
    rare: Check | None = None


@dataclass(frozen=True)
class Ends:
    """An interval of a difference, or why there is none.

    Args:
        low, high: the ends; None where there is none.
        method: how it was computed, or why it was not.
    """

    low: float | None
    high: float | None
    method: str


def none_because(metric: Metric, a: Inputs, b: Inputs, n: int) -> str | None:
    """Return why the rows are too few for an interval that holds 95 %; None where they are not.

    Args:
        metric: any.
        a, b: inputs of the metrics from the two systems.
        n: rows, or documents.
    """
    needs = metric.form.difference
    least = needs.rows or (LEAST_LABELLED if _is_of_labels(metric) else LEAST_ROWS)
    if n < least:
        return f"fewer than {least} {'documents' if 'n_tokens' in a else 'rows'}"
    return (
        (needs.unfit and needs.unfit(a, b))
        or _too_few_differ(metric, a, b)
        or (needs.rare and needs.rare(a, b))
    )


def _is_of_labels(metric: Metric) -> bool:
    return metric.inputs.get("references") in (int, list) or metric.form.is_proportion


def jackknife(statistic: Statistic, units: Units, difference: float, groups: int) -> Ends:
    """The difference, give or take t standard errors of the jackknife.

    Args:
        statistic: weights -> the difference, (replicates, units) -> (replicates,).
        units: of rows.
        difference: of all rows.
        groups: most computations of `statistic`; 0: it takes too long.
    """
    import numpy as np
    from scipy.special import stdtrit

    if not groups:
        return Ends(None, None, "too slow to leave rows out")
    left_out, times = _left_out(units, min(groups, MOST_GROUPS))
    found = np.concatenate([statistic(units.counts - block) for block in left_out])
    if not np.isfinite(found).all():
        return Ends(None, None, "undefined without some row")
    n = float(times.sum())
    changes = found - np.average(found, weights=times)
    squares = float((times * changes**2).sum())
    if squares <= (np.finfo(float).eps * max(1.0, abs(difference))) ** 2 * n:
        return Ends(None, None, "the same without any row")
    kurtosis = n * float((times * changes**4).sum()) / squares**2
    degrees = min(max(FACTOR * 2 * n / (kurtosis - 1) if kurtosis > 1 else n - 1, 1.0), n - 1)
    half = float(stdtrit(degrees, 1 - TAIL)) * (squares * (n - 1) / n) ** 0.5
    return Ends(
        difference - half, difference + half, f"jackknife, t of {degrees:.0f} degrees of freedom"
    )


def _left_out(units: Units, groups: int) -> tuple[Iterator[Array], Array]:
    """Blocks of what replicates leave out (b, units), and how many rows or groups are alike."""
    import numpy as np

    counts = units.counts
    kinds = len(counts)
    if kinds <= groups:
        return (np.eye(kinds)[block] for block in _blocks(kinds, kinds)), counts
    rows = np.repeat(np.arange(kinds), counts.astype(int))
    of_group = np.random.default_rng(0).permutation(len(rows)) % groups
    order = of_group.argsort(kind="stable")
    starts = np.searchsorted(of_group[order], np.arange(groups + 1))

    def block_of(block: slice) -> Array:
        return np.stack(
            [
                np.bincount(rows[order[starts[g] : starts[g + 1]]], minlength=kinds)
                for g in range(groups)[block]
            ]
        )

    return (block_of(block) for block in _blocks(groups, kinds)), np.ones(groups)


def _blocks(replicates: int, units: int) -> Iterator[slice]:
    size = max(1, NUMBERS_AT_ONCE // units)
    return (slice(start, start + size) for start in range(0, replicates, size))


def _too_few_differ(metric: Metric, a: Inputs, b: Inputs) -> str | None:
    """Of labels, the rows that differ count; of their probabilities, those that are wrong."""
    least = metric.form.difference.differing
    if "probabilities" in metric.inputs:
        truth = a.get("references", ())
        sides = [side.get("predictions", ()) for side in (a, b)]
        wrong = sum(r not in (x, y) or x != y for r, x, y in zip(truth, *sides, strict=False))
        return f"fewer than {least} rows are wrong" if wrong < least else None
    if "predictions" not in metric.inputs:
        return None
    differ = sum(x != y for x, y in zip(a["predictions"], b["predictions"], strict=True))
    return f"fewer than {least} rows differ" if differ < least else None


def _too_few_of_a_class(a: Inputs, b: Inputs) -> str | None:
    counts = sorted(_of_each_class(a["references"]))
    least = LEAST_OF_A_CLASS if len(counts) > 2 else LEAST_OF_TWO_CLASSES
    return f"fewer than {least} rows of a class" if counts and counts[0] < least else None


def _too_few_of_a_label(a: Inputs, b: Inputs) -> str | None:
    """By the rarer side of each label: rows that have it, or rows that do not."""
    import numpy as np

    truth = np.asarray(a["references"], dtype=bool)
    true = truth.sum(axis=0)
    if int(np.minimum(true, len(truth) - true).min()) >= LEAST_OF_A_CLASS:
        return None
    return f"fewer than {LEAST_OF_A_CLASS} rows with a label, or without"


def _of_each_class(references: Sequence[object]) -> list[int]:
    from collections import Counter

    return list(Counter(references).values())


def _squares(inputs: Inputs) -> Array:
    return (floats(inputs["predictions"]) - floats(inputs["references"])) ** 2


def _are_unlike(a: Inputs, b: Inputs) -> bool:
    import numpy as np

    low, high = sorted(float(np.median(_squares(side))) for side in (a, b))
    return high > UNLIKE * low


def _tail_index(inputs: Inputs) -> float:
    """Hill's index (1975) of the squared errors, of as many as the root of their number."""
    import math

    import numpy as np

    squares = np.sort(_squares(inputs))
    largest = math.ceil(math.sqrt(len(squares)))
    start = float(squares[-largest - 1])
    return float(np.log(squares[-largest:] / start).mean()) if start > 0 else math.inf


def _chance_moves_both(a: Inputs, b: Inputs) -> str:
    """Both are too large, the more the fewer rows: 79 to 85 % of intervals held the difference."""
    return "chance moves both values by as much"


def _few_errors_decide(a: Inputs, b: Inputs) -> str | None:
    heavy = _are_unlike(a, b) and max(map(_tail_index, (a, b))) > HEAVIEST
    return "a few errors decide" if heavy else None


BY_CLASS = Needs(rare=_too_few_of_a_class)
BY_LABEL = Needs(rare=_too_few_of_a_label)
ORDERED = replace(BY_CLASS, rows=LEAST_ORDERED, differing=LEAST_OUT_OF_ORDER)
ORDERED_BY_LABEL = replace(BY_LABEL, rows=LEAST_ORDERED, differing=LEAST_OUT_OF_ORDER)
LOGS = Needs(LEAST_LOGS)
SQUARED = Needs(LEAST_SQUARED, unfit=_few_errors_decide)
RANKED = Needs(LEAST_RANKED)
BIASED = Needs(unfit=_chance_moves_both)
