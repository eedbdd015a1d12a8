"""Intervals: the level they promise, what they say where there is none, and their speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from hfcli.metrics import shipped_metrics
from hfcli.metrics.base import Metric
from hfcli.statistics.form import value_of
from hfcli.statistics.intervals import intervals
from hfcli.statistics.proportions import Interval, wilson
from hfcli.statistics.spread import bca, percentile
from hfcli.statistics.sums import mean_of
from hfcli.statistics.weights import Inputs, equal_rows_as_units, resampled, rows_as_units
from tests.helpers import slowness

SETS = 500
Rows = dict[str, list[Any]]
# Share of rows by true (rows) and predicted label: what accuracy and the like are of all there is.
CONFUSION = np.array([[0.40, 0.04, 0.02], [0.05, 0.25, 0.02], [0.02, 0.03, 0.17]])
CLASSIFICATION = (
    "accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "precision_macro",
    "precision_weighted", "recall_macro", "recall_weighted", "matthews_correlation",
    "cohen_kappa", "auroc", "average_precision", "log_loss", "brier", "ece",
)  # fmt: skip


def chosen(*names: str) -> dict[str, Metric]:
    return {name: shipped_metrics()[name] for name in names}


def interval(name: str, inputs: Rows, **options: Any) -> Interval:
    return intervals(metrics=chosen(name), inputs=inputs, options={}, seed=0, **options)[name]


def labels(random: np.random.Generator, n: int) -> Rows:
    cells = random.choice(CONFUSION.size, n, p=CONFUSION.ravel())
    return {"references": (cells // 3).tolist(), "predictions": (cells % 3).tolist()}


def documents(random: np.random.Generator, n: int) -> Rows:
    """Log-normal lengths; the log-likelihood a token is a matter of the document, mean 3."""
    tokens = np.ceil(random.lognormal(5, 0.7, n)).astype(int)
    return {"nll": (tokens * random.gamma(25, 3 / 25, n)).tolist(), "n_tokens": tokens.tolist()}


def scores(random: np.random.Generator, n: int, classes: int) -> Rows:
    truth = random.integers(0, classes, n)
    logits = random.normal(0, 1, (n, classes)) + 1.5 * np.eye(classes)[truth]
    table = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return {
        "references": truth.tolist(),
        "predictions": table.argmax(axis=1).tolist(),
        "probabilities": table.tolist(),
    }


def f1_of_all() -> float:
    right = np.diag(CONFUSION)
    return float((2 * right / (CONFUSION.sum(axis=0) + CONFUSION.sum(axis=1))).mean())


def recall_of_all() -> float:
    return float((np.diag(CONFUSION) / CONFUSION.sum(axis=1)).mean())


@pytest.mark.parametrize(
    ("name", "draw", "n", "truth"),
    [
        ("accuracy", labels, 300, float(np.trace(CONFUSION))),
        ("f1_macro", labels, 300, f1_of_all()),
        ("balanced_accuracy", labels, 300, recall_of_all()),
    ],
)
def test_intervals_hold_the_truth_in_95_of_100_sets(
    name: str, draw: Callable[[np.random.Generator, int], Rows], n: int, truth: float
) -> None:
    """Of all there is, the metric is known; sets are drawn from it."""
    held = 0
    for seed in range(SETS):
        found = interval(name, draw(np.random.default_rng(seed), n))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 0.93 <= held / SETS <= 0.97


def test_proportions_have_wilsons_interval() -> None:
    rows = labels(np.random.default_rng(0), 80)
    right = sum(p == r for p, r in zip(rows["predictions"], rows["references"], strict=True))
    found = interval("accuracy", rows)
    assert (found.low, found.high) == wilson(right, 80)
    assert (found.method, found.n) == ("Wilson", 80)
    texts = {"predictions": ["a", "b ", "c"], "references": ["a", "b", "d"]}
    assert interval("exact_match", texts).method == "Wilson"


def each_class(name: str, rows: Inputs) -> list[Interval]:
    """The intervals of a metric of three classes."""
    form = shipped_metrics()[name].form
    assert form.each_class is not None
    return form.each_class(rows, [0, 1, 2])


def test_each_class_has_intervals_that_hold_the_truth() -> None:
    """Precision, recall and F1 of the three classes, over sets of 150 rows."""
    right, true, found = np.diag(CONFUSION), CONFUSION.sum(axis=1), CONFUSION.sum(axis=0)
    truths = {
        "precision_per_class": right / found,
        "recall_per_class": right / true,
        "f1_per_class": 2 * right / (true + found),
    }
    held = {name: np.zeros(3) for name in truths}
    for seed in range(SETS):
        rows = labels(np.random.default_rng(seed), 150)
        for name in truths:
            classes = each_class(name, rows)
            value = value_of(shipped_metrics()[name], rows, {"labels": [0, 1, 2]})
            assert [each.value for each in classes] == pytest.approx(value)
            for i, each in enumerate(classes):
                assert each.low is not None
                assert each.high is not None
                held[name][i] += each.low <= truths[name][i] <= each.high
    for shares in held.values():
        assert (shares / SETS >= 0.92).all()
        assert (shares / SETS <= 0.98).all()


def test_a_class_without_rows_has_no_interval() -> None:
    rows = {"predictions": [0, 0, 1], "references": [0, 0, 0]}
    assert each_class("recall_per_class", rows)[1].low is None
    assert each_class("precision_per_class", rows)[1].high is not None
    for name in ("precision_per_class", "recall_per_class", "f1_per_class"):
        assert each_class(name, rows)[2].method == "no rows"


def test_the_calibration_error_of_true_probabilities_may_be_zero() -> None:
    """It is above 0 by chance alone, and so is every draw; the interval still begins at 0."""
    held = {True: 0, False: 0}
    for seed in range(60):
        random = np.random.default_rng(seed)
        p = random.uniform(0.5, 1, 400)
        for true in held:
            hits = random.random(400) < (p if true else p - 0.15)
            rows = {
                "probabilities": np.stack([1 - p, p], axis=1).tolist(),
                "references": hits.astype(int).tolist(),
            }
            held[true] += interval("ece", rows).low == 0
    assert held[True] >= 54
    assert held[False] <= 3


def test_bca_is_that_of_scipy() -> None:
    from scipy.stats import bootstrap

    values = np.random.default_rng(1).exponential(1, 120)
    statistic, units = mean_of(values), rows_as_units(120)
    draws = np.concatenate([statistic(w) for w in resampled(units, 20_000, 1)])
    for method, ours in (
        ("BCa", bca(statistic, units, float(values.mean()), draws)),
        ("percentile", percentile(draws)),
    ):
        found = bootstrap((values,), np.mean, n_resamples=20_000, method=method, rng=2)
        width = found.confidence_interval.high - found.confidence_interval.low
        assert ours == pytest.approx(tuple(found.confidence_interval), abs=0.03 * width)


def test_equal_rows_are_drawn_together_as_they_are_alone() -> None:
    """The same distribution: means and spreads of the draws agree."""
    rows = labels(np.random.default_rng(0), 200)
    units = equal_rows_as_units([rows["predictions"], rows["references"]])
    together = np.concatenate(list(resampled(units, 4_000, 0)))
    alone = np.concatenate(list(resampled(rows_as_units(200), 4_000, 1)))
    keys = list(zip(rows["predictions"], rows["references"], strict=True))
    counted = np.stack(
        [alone[:, [k == keys[i] for k in keys]].sum(axis=1) for i in units.first], axis=1
    )
    assert units.n == 200
    assert (together.sum(axis=1) == 200).all()
    assert together.mean(axis=0) == pytest.approx(counted.mean(axis=0), rel=0.05, abs=0.2)
    assert together.std(axis=0) == pytest.approx(counted.std(axis=0), rel=0.05, abs=0.1)


def test_with_strata_every_draw_has_as_many_rows_of_each() -> None:
    rows = labels(np.random.default_rng(0), 100)
    strata = rows["references"]
    for units in (
        rows_as_units(100, strata), equal_rows_as_units([rows["predictions"], strata], strata)
    ):  # fmt: skip
        assert units.strata is not None
        for weights in resampled(units, 50, 0):
            for stratum in range(3):
                assert (weights[:, units.strata == stratum].sum(axis=1) == strata.count(stratum)).all()  # noqa: E501  # fmt: skip
    inside, over_all = interval("f1_weighted", rows, strata=strata), interval("f1_weighted", rows)
    assert (inside.low, inside.high) != (over_all.low, over_all.high)


def test_the_seed_decides_and_nothing_else_does() -> None:
    rows = scores(np.random.default_rng(0), 150, 3)
    alone = {name: interval(name, rows) for name in CLASSIFICATION}
    together = intervals(metrics=chosen(*CLASSIFICATION), inputs=rows, options={}, seed=0)
    assert together == alone
    assert list(together) == list(CLASSIFICATION)
    other = intervals(metrics=chosen("auroc"), inputs=rows, options={}, seed=1)
    assert other["auroc"] != alone["auroc"]


@pytest.mark.parametrize(
    ("name", "inputs", "method"),
    [
        ("perplexity", {"nll": [20.0], "n_tokens": [9]}, "one document"),
        ("bits_per_byte", {"nll": [20.0] * 4, "n_bytes": [9] * 4}, "fewer than 10 documents"),
        ("mse", {"predictions": [1.0], "references": [2.0]}, "one row"),
        ("perplexity", {"nll": [2e4] * 20, "n_tokens": [9] * 20}, "infinite"),
        ("cohen_kappa", {"predictions": [1] * 20, "references": [1] * 20}, "undefined"),
        ("f1_macro", {"predictions": [1] * 20, "references": [1] * 20}, "one class only"),
        ("mse", {"predictions": [1.0] * 20, "references": [2.0] * 20}, "the same in all"),
        (
            "auroc",
            {"probabilities": [[0.5, 0.5], [0.2, 0.8]] + [[0.6, 0.4]] * 18,
             "references": [0, 1] + [0] * 18},
            "undefined in 3",
        ),
        ("f1_macro", {"predictions": [], "references": []}, "undefined"),
    ],
)  # fmt: skip
def test_where_there_is_no_interval_it_says_why(name: str, inputs: Rows, method: str) -> None:
    found = interval(name, inputs)
    assert (found.low, found.high) == (None, None)
    assert found.method.startswith(method)


def test_matrices_have_no_interval() -> None:
    rows = labels(np.random.default_rng(0), 50)
    names = chosen("confusion_matrix", "f1_per_class", "accuracy")
    found = intervals(metrics=names, inputs=rows, options={"labels": [0, 1, 2]}, seed=0)
    assert list(found) == ["accuracy"]


def spread_of(predictions: Sequence[float], references: Sequence[float]) -> float:
    return max(references) - min(predictions)


def test_an_unknown_metric_is_drawn_as_often_as_time_allows() -> None:
    quick = Metric("spread", spread_of, {"predictions": float, "references": float}, True, "Mine.")
    rows = {"predictions": list(range(50)), "references": list(range(0, 100, 2))}
    found = intervals(metrics={"spread": quick}, inputs=rows, options={}, seed=0)["spread"]
    assert found.low is not None
    assert found.low <= found.value
    assert found.method.startswith("percentile bootstrap, ")

    def slow(predictions: Sequence[float], references: Sequence[float]) -> float:
        time.sleep(0.03)
        return spread_of(predictions, references)

    dear = Metric("spread", slow, quick.inputs, True, "Mine.")
    found = intervals(metrics={"spread": dear}, inputs=rows, options={}, seed=0)["spread"]
    assert found.method == "too slow for 100 draws"


@pytest.mark.alone
def test_ten_thousand_rows_take_less_than_two_seconds_of_one_core() -> None:
    """All metrics of four classes, their values included; processor time, least of three."""
    metrics = chosen(*CLASSIFICATION)
    rows = scores(np.random.default_rng(0), 10_000, 4)
    taken = []
    for _ in range(3):
        start = time.process_time()
        found = intervals(metrics=metrics, inputs=rows, options={}, seed=0)
        taken.append(time.process_time() - start)
    assert all(each.low is not None for each in found.values())
    assert min(taken) < 2 * slowness()
