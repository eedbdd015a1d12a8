"""Intervals of metrics of labels: closed forms they must agree with, and what they must not do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from hfcli.metrics import shipped_metrics
from hfcli.statistics import confusions
from hfcli.statistics.intervals import intervals
from hfcli.statistics.proportions import Interval
from hfcli.statistics.weights import resampled, rows_as_units

Rows = dict[str, list[int]]
FORMS = {name: m.form for name, m in shipped_metrics().items() if m.form.counts is not None}


def interval(name: str, rows: Rows) -> Interval:
    chosen = {name: shipped_metrics()[name]}
    return intervals(metrics=chosen, inputs=rows, options={}, seed=0)[name]


def some_rows(n: int = 60, classes: int = 3) -> Rows:
    random = np.random.default_rng(0)
    truth = random.integers(0, classes, n)
    found = np.where(random.random(n) < 0.7, truth, random.integers(0, classes, n))
    return {"references": truth.tolist(), "predictions": found.tolist()}


def of_classes(*right_and_rows: tuple[int, int]) -> Rows:
    """Rows of two classes, so many of which are right."""
    truth, found = [], []
    for label, (right, rows) in enumerate(right_and_rows):
        truth += [label] * rows
        found += [label] * right + [1 - label] * (rows - right)
    return {"references": truth, "predictions": found}


def test_balanced_accuracy_has_the_variance_of_two_proportions() -> None:
    """With half a right and half a wrong row more, and Satterthwaite's degrees of freedom."""
    found = interval("balanced_accuracy", of_classes((36, 40), (6, 9)))
    value = (36 / 40 + 6 / 9) / 2
    parts = [p * (1 - p) / n / 4 for p, n in ((36.5 / 41, 41), (6.5 / 10, 10))]
    degrees = sum(parts) ** 2 / (parts[0] ** 2 / 41 + parts[1] ** 2 / 10)
    half = stats.t.ppf(0.975, degrees) * sum(parts) ** 0.5 / (value * (1 - value))
    assert found.value == pytest.approx(value)
    assert (found.low, found.high) == pytest.approx(
        (expit(logit(value) - half), expit(logit(value) + half)), rel=1e-3
    )
    assert found.method == "delta method, Student's t"


@pytest.mark.parametrize("name", sorted(FORMS))
def test_variance_and_bias_are_those_of_draws(name: str) -> None:
    """Of many rows, where half a row more or less is nothing."""
    rows = some_rows(400)
    formula = FORMS[name].counts
    assert formula is not None
    statistic = confusions.label_statistic(rows, formula)
    draws = np.concatenate([statistic(w) for w in resampled(rows_as_units(400), 4_000, 0)])
    value = float(statistic(np.ones((1, 400)))[0])
    true, predicted, counts, classes = confusions._cells(rows)
    table = confusions._counted(true, predicted, counts, classes)
    spread = confusions._variances(formula, table, true, predicted, counts).sum() ** 0.5
    assert spread == pytest.approx(draws.std(), rel=0.05)
    bias = confusions._bias(formula, table, true, predicted, counts)
    assert bias == pytest.approx(draws.mean() - value, abs=3 * draws.std() / 4_000**0.5)


@pytest.mark.parametrize("name", ["f1_macro", "balanced_accuracy", "matthews_correlation"])
def test_no_wrong_row_is_not_perfection(name: str) -> None:
    """The interval ends at 1, and begins the lower the fewer rows there are."""
    lows = []
    for rows in (10, 20, 100, 1000):
        found = interval(name, of_classes((rows, rows), (rows, rows)))
        assert found.high == 1
        assert found.low is not None
        lows.append(found.low)
    assert lows == sorted(lows)
    assert 0.2 < lows[0] < lows[-1] < 1
    worst = interval(name, of_classes((0, 20), (0, 20)))
    assert worst.low == worst.value == FORMS[name].least
    assert worst.high is not None
    assert worst.high < 0.5


@pytest.mark.parametrize("name", sorted(FORMS))
def test_names_of_labels_and_the_order_of_rows_do_not_matter(name: str) -> None:
    rows = some_rows()
    other = {key: [5 - 2 * label for label in reversed(values)] for key, values in rows.items()}
    one, same = interval(name, rows), interval(name, other)
    assert one.low is not None
    assert (same.low, same.high) == pytest.approx((one.low, one.high))


@pytest.mark.parametrize("name", sorted(FORMS))
def test_an_interval_holds_its_value_whatever_the_rows(name: str) -> None:
    """A class of one row, one that is never predicted, one that is only predicted."""
    random, least = np.random.default_rng(1), FORMS[name].least
    sets: list[dict[str, Any]] = [
        {"references": [0] * 19 + [1], "predictions": [0] * 20},
        {"references": [0] * 20, "predictions": [0] * 19 + [1]},
        {"references": [0] * 10 + [1] * 9 + [2], "predictions": [0] * 10 + [1] * 10},
        *({"references": random.integers(0, k, 12).tolist(),
           "predictions": random.integers(0, k, 12).tolist()} for k in range(2, 8)),
    ]  # fmt: skip
    for rows in sets:
        found = interval(name, rows)
        assert found.low is not None
        assert found.high is not None
        assert least <= found.low <= found.value <= found.high <= 1


def test_blocks_of_moved_counts_give_what_all_at_once_give() -> None:
    rows = some_rows(3000, 200)
    whole = interval("f1_macro", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confusions, "NUMBERS_AT_ONCE", 1_000)
        assert interval("f1_macro", rows) == whole
