"""Paired tests: equal to scipy and statsmodels, right where the answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hfcli.metrics import shipped_metrics
from hfcli.metrics.base import Metric
from hfcli.statistics.paired import Difference, differences

Rows = dict[str, list[Any]]
SETS = 200


def difference(name: str, a: Rows, b: Rows) -> Difference:
    return differences(metrics={name: shipped_metrics()[name]}, a=a, b=b, options={}, seed=0)[name]


def two_systems(seed: int, n: int, right: tuple[float, float], classes: int = 3) -> tuple[Rows, Rows]:  # noqa: E501  # fmt: skip
    """Systems that find the same rows hard, and are right with these chances on the average."""
    random = np.random.default_rng(seed)
    truth, hard = random.integers(0, classes, n), random.normal(0, 1, n)
    sides = []
    for share in right:
        is_right = random.normal(0, 1, n) + hard < np.sqrt(2) * _quantile(share)
        wrong = (truth + random.integers(1, classes, n)) % classes
        labels = np.where(is_right, truth, wrong)
        table = np.full((n, classes), 0.1)
        table[np.arange(n), labels] = 1 - 0.1 * (classes - 1)
        table += random.random((n, classes)) / 20
        table /= table.sum(axis=1, keepdims=True)
        sides.append(
            {
                "predictions": labels.tolist(),
                "references": truth.tolist(),
                "probabilities": table.tolist(),
            }
        )
    return sides[0], sides[1]


def _quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


def documents(seed: int, n: int, rates: tuple[float, float]) -> tuple[Rows, Rows]:
    random = np.random.default_rng(seed)
    tokens, hard = np.ceil(random.lognormal(5, 0.5, n)), random.gamma(50, 1 / 50, n)
    a, b = (
        {"nll": (tokens * hard * rate * random.gamma(400, 1 / 400, n)).tolist(),
         "n_tokens": tokens.tolist()}
        for rate in rates
    )  # fmt: skip
    return a, b


def test_proportions_are_tested_as_statsmodels_does() -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    a, b = two_systems(0, 400, (0.8, 0.86))
    right_a, right_b = (np.equal(s["predictions"], s["references"]) for s in (a, b))
    table = [
        [(right_a & right_b).sum(), (right_a & ~right_b).sum()],
        [(~right_a & right_b).sum(), (~right_a & ~right_b).sum()],
    ]
    found = difference("accuracy", a, b)
    assert found.p == pytest.approx(float(mcnemar(table, exact=True).pvalue))
    assert found.test == f"exact McNemar, {table[0][1]} : {table[1][0]}"
    assert found.difference == pytest.approx(right_b.mean() - right_a.mean())


@pytest.mark.parametrize("name", ["f1_macro", "auroc", "log_loss", "perplexity"])
def test_permutations_are_those_of_scipy(name: str) -> None:
    """scipy tries all exchanges of eight rows, so that only our draws are a matter of luck."""
    from scipy.stats import permutation_test

    sides = documents(1, 8, (1.0, 1.02)) if name == "perplexity" else two_systems(1, 8, (0.4, 0.9))
    metric = shipped_metrics()[name]

    def statistic(*picked: Any) -> float:
        values = []
        for rows in picked:
            at = [divmod(int(i), 8) for i in rows]
            columns = {k: [sides[side][k][i] for side, i in at] for k in metric.inputs}
            values.append(metric.compute(**columns))
        return float(values[1] - values[0])

    exact = permutation_test(
        (np.arange(8), np.arange(8, 16)), statistic, permutation_type="samples",
        n_resamples=np.inf, vectorized=False,
    )  # fmt: skip
    found = difference(name, *sides)
    assert found.p is not None
    assert 0.001 < exact.pvalue < 0.9
    assert found.p == pytest.approx(exact.pvalue, abs=4 * 0.5 / np.sqrt(5_000))
    assert found.test == "permutation, 5,000 draws"


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "auroc", "ece", "matthews_correlation"])
def test_the_same_system_twice_does_not_differ(name: str) -> None:
    a, _ = two_systems(0, 100, (0.8, 0.8))
    found = difference(name, a, {k: list(v) for k, v in a.items()})
    assert (found.difference, found.p) == (0, 1)
    assert (found.low, found.high) == (None, None)


def test_one_document_is_no_evidence() -> None:
    found = difference("perplexity", *documents(0, 1, (1.0, 2.0)))
    assert (found.low, found.high, found.p) == (None, None, 1.0)


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "log_loss"])
def test_systems_that_are_alike_are_told_apart_in_5_of_100_sets(name: str) -> None:
    """p is below 0.05 as often as it says, or (McNemar, being exact) less often."""
    wrong = sum(
        (difference(name, *two_systems(seed, 80, (0.75, 0.75))).p or 0) < 0.05
        for seed in range(SETS)
    )
    assert wrong / SETS <= 0.08
    assert wrong > 0


def test_the_interval_of_the_difference_holds_the_truth_in_95_of_100_sets() -> None:
    held = 0
    for seed in range(SETS):
        found = difference("accuracy", *two_systems(seed, 300, (0.75, 0.8)))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.05 <= found.high
    assert 0.92 <= held / SETS <= 0.98


def test_pairing_finds_what_an_unpaired_test_does_not() -> None:
    """Documents differ far more than the systems do."""
    from scipy.stats import ttest_ind

    a, b = documents(5, 60, (1.0, 1.04))
    found = difference("perplexity", a, b)
    assert found.p is not None
    assert found.p < 0.01
    assert found.low is not None
    assert found.low > 0
    rates = [np.divide(s["nll"], s["n_tokens"]) for s in (a, b)]
    assert ttest_ind(*rates).pvalue > 0.1


def spread_of(predictions: Sequence[float], references: Sequence[float]) -> float:
    return max(predictions) - min(references)


def test_any_metric_can_be_compared() -> None:
    metric = Metric("mine", spread_of, {"predictions": float, "references": float}, True, "Mine.")
    random = np.random.default_rng(0)
    a, b = (
        {"predictions": random.normal(0, s, 40).tolist(), "references": [0.0] * 40} for s in (1, 9)
    )
    found = differences(metrics={"mine": metric}, a=a, b=b, options={}, seed=0)["mine"]
    assert found.p is not None
    assert found.p < 0.05
    assert found.difference == spread_of(**b) - spread_of(**a)


def test_what_is_undefined_for_one_system_is_not_compared() -> None:
    a, b = two_systems(0, 20, (0.8, 0.8))
    found = difference("auroc", a, {**b, "references": [1] * 20})
    assert (found.low, found.high, found.p, found.test) == (None, None, None, "undefined")
