"""The law of the fast forms: weights are the same as rows that stand as often."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hfcli.metrics import shipped_metrics
from hfcli.metrics.base import Metric
from hfcli.statistics.form import repeated, value_of, weighted
from hfcli.statistics.weights import Inputs

N = 60
WORDS = ("the", "ferry", "left", "at", "nine", "a", "Ten", "harbour.")
SCALARS = {
    name: metric
    for name, metric in shipped_metrics().items()
    if metric.higher_is_better is not None
}


def texts(random: np.random.Generator) -> list[str]:
    return [" ".join(random.choice(WORDS, random.integers(1, 9)).tolist()) for _ in range(N)]


def rows(metric: Metric, seed: int, classes: int = 3, decimals: int = 2) -> dict[str, list[Any]]:
    """Rows of what the metric reads; scores with few decimals have ties."""
    random = np.random.default_rng(seed)
    kinds = metric.inputs
    probabilities = np.round(random.dirichlet(np.ones(classes), N), decimals)
    columns: dict[str, list[Any]] = {"probabilities": probabilities.tolist()}
    if kinds.get("references") is int:
        columns["references"] = random.integers(0, classes, N).tolist()
        columns["predictions"] = random.integers(0, classes, N).tolist()
    elif kinds.get("references") is float:
        columns["references"] = np.round(random.normal(5, 2, N), decimals).tolist()
        columns["predictions"] = [r + e for r, e in zip(
            columns["references"], np.round(random.normal(0, 1, N), decimals).tolist(), strict=True
        )]  # fmt: skip
    elif kinds.get("references") is list:
        columns["references"] = random.integers(0, 2, (N, classes)).tolist()
        columns["predictions"] = random.integers(0, 2, (N, classes)).tolist()
        columns["probabilities"] = np.round(random.random((N, classes)), decimals).tolist()
    elif "references" in kinds:
        first, second = texts(random), texts(random)
        columns["references"] = [a if i % 2 else [a, b] for i, (a, b) in enumerate(zip(first, second, strict=True))]  # noqa: E501  # fmt: skip
        columns["predictions"] = [t if i % 4 else first[i] for i, t in enumerate(texts(random))]
    sizes = (N, classes) if kinds.get("nll") is list else (N,)
    columns["nll"] = random.gamma(2, 20, sizes).tolist()
    for name in ("n_tokens", "n_bytes", "n_words"):
        columns[name] = random.integers(1, 40, sizes).tolist()
    return {name: columns[name] for name in kinds}


def draws(replicates: int) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(7)
    return random.multinomial(N, np.ones(N) / N, replicates).astype(float)


def check_law(metric: Metric, inputs: Inputs) -> None:
    value = value_of(metric, inputs, {})
    statistic = weighted(metric, inputs, value, np.ones(N))
    assert statistic is not None
    weights = np.vstack([np.ones((1, N)), draws(12)])
    expected = repeated(metric, inputs, {})(weights)
    assert np.isfinite(expected).any()
    assert statistic(weights) == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


def test_there_are_metrics() -> None:
    assert len(SCALARS) > 35


@pytest.mark.parametrize("name", SCALARS)
def test_weights_are_repeated_rows(name: str) -> None:
    check_law(SCALARS[name], rows(SCALARS[name], seed=1))


@pytest.mark.parametrize(
    "name", [n for n, m in SCALARS.items() if "probabilities" in m.inputs or n == "spearman"]
)
@pytest.mark.parametrize(("classes", "decimals"), [(2, 1), (2, 9), (5, 9)])
def test_with_two_classes_with_ties_and_without(name: str, classes: int, decimals: int) -> None:
    check_law(SCALARS[name], rows(SCALARS[name], seed=2, classes=classes, decimals=decimals))


def test_draws_in_which_a_metric_is_not_defined_are_nan() -> None:
    """A class that is not drawn has no ROC curve; agreement of one class is no agreement."""
    inputs: Inputs = {"predictions": [0, 1, 1], "references": [0, 1, 0]}
    one_class = np.array([[0.0, 3.0, 0.0], [1.0, 1.0, 1.0]])
    scores: Inputs = {
        "probabilities": [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]],
        "references": [0, 1, 0],
    }
    for name, columns in (("cohen_kappa", inputs), ("auroc", scores)):
        metric = SCALARS[name]
        statistic = weighted(metric, columns, value_of(metric, columns, {}), np.ones(3))
        assert statistic is not None
        assert np.isnan(statistic(one_class)).tolist() == [True, False]


def test_a_metric_of_another_definition_is_computed_by_itself() -> None:
    """A form is no promise: what does not give the metric's value is not used."""
    mine = replace(SCALARS["f1_macro"], compute=lambda predictions, references: 0.123)
    inputs = rows(SCALARS["f1_macro"], seed=3)
    assert weighted(mine, inputs, value_of(mine, inputs, {}), np.ones(N)) is None
