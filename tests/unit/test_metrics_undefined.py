"""What has no value is nan, and what only looks so has one; neither warns nor fails."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk

from hfcli.metrics import shipped_metrics

NAN, INF = math.nan, math.inf
TWO = [[0.8, 0.2], [0.3, 0.7], [0.4, 0.6]]
THREE = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]

UNDEFINED: dict[str, tuple[str, dict[str, Any]]] = {
    "kappa-one-class": ("cohen_kappa", {"predictions": [1, 1], "references": [1, 1]}),
    "auroc-one-class": ("auroc", {"probabilities": TWO, "references": [1, 1, 1]}),
    "auroc-class-absent": ("auroc", {"probabilities": THREE, "references": [0, 1, 1]}),
    "auroc-nan": ("auroc", {"probabilities": [*TWO, [NAN, NAN]], "references": [0, 1, 1, 0]}),
    "ap-no-positive": ("average_precision", {"probabilities": TWO, "references": [0, 0, 0]}),
    "ap-class-absent": ("average_precision", {"probabilities": THREE, "references": [0, 1, 1]}),
    "ap-nan": ("average_precision", {"probabilities": [[NAN, NAN]], "references": [1]}),
    "log-loss-nan": ("log_loss", {"probabilities": [*TWO, [NAN, NAN]], "references": [0, 1, 1, 0]}),
    "brier-nan": ("brier", {"probabilities": [*TWO, [NAN, NAN]], "references": [0, 1, 1, 0]}),
    "ece-nan": ("ece", {"probabilities": [*TWO, [NAN, NAN]], "references": [0, 1, 1, 0]}),
    "label-never-true": (
        "multilabel_auroc_macro",
        {"probabilities": TWO, "references": [[1, 0], [0, 0], [0, 0]]},
    ),
    "label-always-true": (
        "multilabel_auroc_macro",
        {"probabilities": TWO, "references": [[1, 1], [0, 1], [0, 1]]},
    ),
    "label-ap-never-true": (
        "multilabel_average_precision_macro",
        {"probabilities": TWO, "references": [[1, 0], [0, 0], [0, 0]]},
    ),
    "r2-constant": ("r2", {"predictions": [1.0, 2.0], "references": [3.0, 3.0]}),
    "r2-one-row": ("r2", {"predictions": [1.0], "references": [3.0]}),
    "r2-underflow": ("r2", {"predictions": [1.0, 2.0], "references": [0.0, 1e-200]}),
    "mse-nan": ("mse", {"predictions": [1.0, NAN], "references": [3.0, 3.0]}),
    "mae-infinite-both": ("mae", {"predictions": [INF], "references": [INF]}),
    "pearson-one-row": ("pearson", {"predictions": [1.0], "references": [3.0]}),
    "pearson-constant": ("pearson", {"predictions": [0.1] * 3, "references": [1.0, 2.0, 3.0]}),
    "pearson-near-constant": (
        "pearson",
        {"predictions": [1.0, 1.0, 1 + 1e-15], "references": [1.0, 2.0, 3.0]},
    ),
    "pearson-nan": ("pearson", {"predictions": [1.0, NAN, 2.0], "references": [1.0, 2.0, 3.0]}),
    "spearman-constant": ("spearman", {"predictions": [1.0, 2.0], "references": [5.0, 5.0]}),
    "spearman-nan": ("spearman", {"predictions": [1.0, NAN], "references": [1.0, 2.0]}),
    "perplexity-no-tokens": ("perplexity", {"nll": [0.0], "n_tokens": [0]}),
    "perplexity-nan": ("perplexity", {"nll": [NAN], "n_tokens": [3]}),
    "no-words": ("word_perplexity", {"nll": [2.0], "n_words": [0]}),
    "no-bytes": ("bits_per_byte", {"nll": [2.0], "n_bytes": [0]}),
    "choice-nan": ("acc", {"nll": [[1.0, 2.0], [NAN, 1.0]], "references": [0, 1]}),
    "choice-without-bytes": (
        "acc_norm",
        {"nll": [[1.0, 2.0]], "n_bytes": [[3, 0]], "references": [0]},
    ),
    **{
        f"{name}-no-reference": (name, {"predictions": ["a", "b"], "references": ["a", []]})
        for name, metric in shipped_metrics().items()
        if list[str] in metric.inputs.values()
    },
    **{
        f"{name}-other-script": (name, {"predictions": ["кот"], "references": ["кот"]})
        for name in ("rouge1", "rouge2", "rougeL")
    },
}

DEFINED: dict[str, tuple[str, dict[str, Any], float]] = {
    "kappa-constant-predictions": (
        "cohen_kappa",
        {"predictions": [0, 0], "references": [0, 1]},
        0.0,
    ),
    "kappa-always-wrong": ("cohen_kappa", {"predictions": [0, 0], "references": [1, 1]}, 0.0),
    "accuracy-one-class": ("accuracy", {"predictions": [1, 1], "references": [1, 1]}, 1.0),
    "balanced-one-class": ("balanced_accuracy", {"predictions": [1, 0], "references": [1, 1]}, 0.5),
    "balanced-class-predicted-only": (
        "balanced_accuracy",
        {"predictions": [0, 2, 1], "references": [0, 1, 1]},
        0.75,
    ),
    "f1-all-wrong": ("f1_macro", {"predictions": [0, 1], "references": [1, 0]}, 0.0),
    "auroc-equal-scores": (
        "auroc",
        {"probabilities": [[0.5, 0.5], [0.5, 0.5]], "references": [0, 1]},
        0.5,
    ),
    "ap-all-positive": ("average_precision", {"probabilities": TWO, "references": [1, 1, 1]}, 1.0),
    "log-loss-certain-error": (
        "log_loss",
        {"probabilities": [[1.0, 0.0]], "references": [1]},
        -math.log(np.finfo(float).eps),
    ),
    "log-loss-class-absent": (
        "log_loss",
        {"probabilities": THREE[:2], "references": [0, 1]},
        -(math.log(0.7) + math.log(0.8)) / 2,
    ),
    "brier-two-classes-is-halved": (
        "brier",
        {"probabilities": [[1.0, 0.0]], "references": [1]},
        1.0,
    ),
    "brier-three-classes": (
        "brier",
        {"probabilities": [[1.0, 0.0, 0.0]], "references": [1]},
        2.0,
    ),
    "ece-edge-belongs-to-the-bin-below": (
        "ece",
        # 0.6 = 9/15 is the upper edge of a bin; 0.61 is in the next.
        {"probabilities": [[0.6, 0.4], [0.61, 0.39]], "references": [0, 1]},
        (0.4 + 0.61) / 2,
    ),
    "ece-rounded-above-one": (
        "ece",
        {"probabilities": [[1 + 1e-7, 0.0]], "references": [0]},
        1e-7,
    ),
    "one-label": (
        "multilabel_f1_macro",
        {"predictions": [[0], [1], [1]], "references": [[0], [1], [0]]},
        2 / 3,
    ),
    "one-label-by-row": (
        "multilabel_f1_samples",
        {"predictions": [[0], [1], [1]], "references": [[0], [1], [0]]},
        1 / 3,
    ),
    "nothing-true-or-predicted": (
        "multilabel_f1_micro",
        {"predictions": [[0, 0]], "references": [[0, 0]]},
        0.0,
    ),
    "label-ap-always-true": (
        "multilabel_average_precision_macro",
        {"probabilities": TWO, "references": [[1, 1], [1, 1], [1, 1]]},
        1.0,
    ),
    "mse-too-large": ("mse", {"predictions": [1e200], "references": [-1e200]}, INF),
    "rmse-too-large": ("rmse", {"predictions": [1e200], "references": [-1e200]}, INF),
    "pearson-two-rows": ("pearson", {"predictions": [1.0, 2.0], "references": [5.0, 4.0]}, -1.0),
    "spearman-two-rows": ("spearman", {"predictions": [1.0, 2.0], "references": [5.0, 4.0]}, -1.0),
    "choice-ties": ("acc", {"nll": [[1.0, 1.0], [1.0, 1.0]], "references": [0, 1]}, 0.5),
    "choice-impossible": ("acc", {"nll": [[INF, 9.0]], "references": [1]}, 1.0),
    "empty-texts-agree": ("token_f1", {"predictions": ["the ."], "references": ["A"]}, 1.0),
    "empty-text-against-words": ("token_f1", {"predictions": [""], "references": ["x"]}, 0.0),
    "no-words-at-all": ("bleu", {"predictions": [""], "references": [""]}, 0.0),
    "one-row-without-words": (
        "rouge1",
        {"predictions": ["a cat", "?"], "references": ["a cat", "?"]},
        0.5,
    ),
}


@pytest.mark.parametrize(("name", "inputs"), UNDEFINED.values(), ids=UNDEFINED.keys())
def test_what_is_undefined_is_nan(name: str, inputs: dict[str, Any]) -> None:
    assert math.isnan(shipped_metrics()[name].compute(**inputs))


@pytest.mark.parametrize(("name", "inputs", "value"), DEFINED.values(), ids=DEFINED.keys())
def test_what_only_looks_undefined_has_its_value(
    name: str, inputs: dict[str, Any], value: float
) -> None:
    assert shipped_metrics()[name].compute(**inputs) == pytest.approx(value, abs=1e-9)


def test_per_class_lists_follow_the_labels_also_of_classes_that_do_not_occur() -> None:
    inputs = {"predictions": [0, 2, 2, 0], "references": [0, 2, 0, 0], "labels": [3, 2, 1, 0]}
    values = {
        name: shipped_metrics()[f"{name}_per_class"].compute(**inputs)
        for name in ("precision", "recall", "f1", "support")
    }
    assert values["precision"] == [0, 0.5, 0, 1]
    assert values["recall"] == [0, 1, 0, pytest.approx(2 / 3)]
    assert values["f1"] == [0, pytest.approx(2 / 3), 0, pytest.approx(0.8)]
    assert values["support"] == [0, 1, 0, 3]


def test_the_confusion_matrix_follows_the_labels_also_of_classes_that_do_not_occur() -> None:
    inputs = {"predictions": [0, 2, 2, 0], "references": [0, 2, 0, 0]}
    value = shipped_metrics()["confusion_matrix"].compute(**inputs, labels=[3, 2, 1, 0])
    expected = sk.confusion_matrix(inputs["references"], inputs["predictions"], labels=[3, 2, 1, 0])
    assert value == expected.tolist()
    assert shipped_metrics()["confusion_matrix"].compute(
        predictions=[1], references=[1], labels=[0, 1]
    ) == [[0, 0], [0, 1]]


def test_without_rows_lists_are_as_long_as_the_labels() -> None:
    empty = {"predictions": [], "references": [], "labels": [0, 1]}
    for name in ("precision_per_class", "recall_per_class", "f1_per_class"):
        value = shipped_metrics()[name].compute(**empty)
        assert [math.isnan(v) for v in value] == [True, True]
    assert shipped_metrics()["support_per_class"].compute(**empty) == [0, 0]
    assert shipped_metrics()["confusion_matrix"].compute(**empty) == [[0, 0], [0, 0]]


@pytest.mark.parametrize("classes", [2, 4])
def test_probabilities_in_float32_need_not_sum_to_one_exactly(classes: int) -> None:
    draw = np.random.default_rng(5)
    table = draw.dirichlet(np.ones(classes), size=50).astype(np.float32)
    exact = table / table.sum(axis=1, dtype=np.float64, keepdims=True)
    references = draw.integers(classes, size=50).tolist()
    for name in ("log_loss", "brier", "auroc", "ece"):
        compute = shipped_metrics()[name].compute
        value = compute(probabilities=table.tolist(), references=references)
        expected = compute(probabilities=exact.tolist(), references=references)
        assert value == pytest.approx(expected, abs=1e-6)
