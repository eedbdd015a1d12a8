"""Closed forms: equal to statsmodels, and right where it has no answer."""

from __future__ import annotations

import random
from statistics import NormalDist

import pytest

from hfcli.statistics.proportions import TAIL, Z, holm, mcnemar_exact, wilson


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (1, 20), (917, 1000), (3, 10_000)]
)
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_is_that_of_statsmodels(successes: int, n: int, confidence: float) -> None:
    from statsmodels.stats.proportion import proportion_confint

    expected = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    assert wilson(successes, n, confidence) == pytest.approx(expected, abs=1e-12)


def test_wilson_never_leaves_the_unit_interval() -> None:
    for n in (1, 7, 100, 12_345):
        assert wilson(0, n)[0] == 0.0
        assert wilson(n, n)[1] == 1.0


@pytest.mark.parametrize(("b", "c"), [(0, 1), (1, 0), (5, 5), (3, 12), (40, 61), (700, 900)])
def test_mcnemar_is_that_of_statsmodels(b: int, c: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    expected = float(mcnemar([[10, b], [c, 10]], exact=True).pvalue)
    assert mcnemar_exact(b, c) == pytest.approx(expected, rel=1e-10)


def test_without_any_flip_mcnemar_sees_no_difference() -> None:
    assert mcnemar_exact(0, 0) == 1.0


def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    draw = random.Random(0)
    for size in (1, 2, 5, 30):
        p_values = [draw.random() ** 3 for _ in range(size)]
        expected = multipletests(p_values, method="holm")[1].tolist()
        assert holm(p_values) == pytest.approx(expected, abs=1e-15)
    assert holm([]) == []


def test_the_quantile_of_the_normal_distribution_is_its_own() -> None:
    assert NormalDist().inv_cdf(1 - TAIL) == Z
