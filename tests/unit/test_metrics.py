"""Every shipped metric equals its reference: scikit-learn, scipy, sacrebleu, rouge-score, or a
plain loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sacrebleu
import scipy.stats
import sklearn.metrics as sk
from rouge_score.rouge_scorer import RougeScorer
from sklearn.preprocessing import label_binarize

from hfcli.metrics import families, higher_is_better, metric_names, scalar_metrics, shipped_metrics
from hfcli.tasks import task_classes
from tests.unit.metric_cases import Inputs, perfect, random_inputs


def averaged(kind: str, average: str | None) -> Callable[[Inputs], Any]:
    return lambda x: getattr(sk, f"{kind}_score")(
        x["references"], x["predictions"], average=average, zero_division=0
    )


def per_class(kind: str) -> Callable[[Inputs], Any]:
    return lambda x: pytest.approx(averaged(kind, None)(x).tolist(), abs=1e-9)


def pair(function: Callable[..., Any], **options: Any) -> Callable[[Inputs], Any]:
    return lambda x: function(x["references"], x["predictions"], **options)


def scored(function: Callable[..., Any], **options: Any) -> Callable[[Inputs], Any]:
    return lambda x: function(np.array(x["references"]), np.array(x["probabilities"]), **options)


def against_the_rest(function: Callable[..., Any]) -> Callable[[Inputs], Any]:
    def reference(x: Inputs) -> Any:
        table = np.array(x["probabilities"])
        if table.shape[1] == 2:
            return function(x["references"], table[:, 1])
        truth = label_binarize(x["references"], classes=range(table.shape[1]))
        return function(truth, table, average="macro")

    return reference


def with_labels(function: Callable[..., Any]) -> Callable[[Inputs], Any]:
    return lambda x: function(
        x["references"], x["probabilities"], labels=range(len(x["probabilities"][0]))
    )


def bins(x: Inputs) -> list[tuple[float, float, list[tuple[float, bool]]]]:
    """Guo et al. 2017, section 2: bin m holds the rows with a confidence in ((m-1)/M, m/M]."""
    rows = [
        (max(p), p.index(max(p)) == r)
        for p, r in zip(x["probabilities"], x["references"], strict=True)
    ]
    found = [
        (m / 15, [row for row in rows if (m - 1) / 15 < row[0] <= m / 15]) for m in range(1, 16)
    ]
    return [(upper - 1 / 15, upper, inside) for upper, inside in found if inside]


def calibration_error(x: Inputs) -> float:
    gaps = [abs(sum(hit - p for p, hit in inside)) for _, _, inside in bins(x)]
    return sum(gaps) / len(x["references"])


def reliability(x: Inputs) -> list[dict[str, Any]]:
    return [
        {
            "lower": pytest.approx(lower, abs=1e-9),
            "upper": pytest.approx(upper, abs=1e-9),
            "confidence": pytest.approx(np.mean([p for p, _ in inside]), abs=1e-9),
            "accuracy": pytest.approx(np.mean([hit for _, hit in inside]), abs=1e-9),
            "count": len(inside),
        }
        for lower, upper, inside in bins(x)
    ]


def chosen(x: Inputs, sizes: list[list[int]]) -> float:
    costs = [np.divide(*pair) for pair in zip(x["nll"], sizes, strict=True)]
    return float(np.mean([np.argmin(c) == r for c, r in zip(costs, x["references"], strict=True)]))


def squad(x: Inputs, score: Callable[[str, str], float]) -> float:
    best = [
        max(score(right, text) for right in rights)
        for text, rights in zip(x["predictions"], x["references"], strict=True)
    ]
    return sum(best) / len(best)


def columns(x: Inputs) -> list[list[Any]]:
    most = max(len(row) for row in x["references"])
    return [[dict(enumerate(row)).get(i) for row in x["references"]] for i in range(most)]


def rouge(kind: str) -> Callable[[Inputs], float]:
    scorer = RougeScorer([kind])
    return lambda x: float(
        np.mean(
            [
                scorer.score_multi(right, text)[kind].fmeasure
                for text, right in zip(x["predictions"], x["references"], strict=True)
            ]
        )
    )


def squad_f1(right: str, text: str) -> float:
    """compute_f1 of the SQuAD 2.0 evaluation script, line by line."""
    gold, found = squad_tokens(right), squad_tokens(text)
    same = sum(min(gold.count(word), found.count(word)) for word in set(gold))
    if len(gold) == 0 or len(found) == 0:
        return int(gold == found)
    if same == 0:
        return 0
    precision, recall = same / len(found), same / len(gold)
    return (2 * precision * recall) / (precision + recall)


def squad_tokens(text: str) -> list[str]:
    kept = "".join(c for c in text.lower() if c not in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    return [word for word in kept.split() if word not in ("a", "an", "the")]


REFERENCE: dict[str, Callable[[Inputs], Any]] = {
    "accuracy": pair(sk.accuracy_score),
    "balanced_accuracy": pair(sk.balanced_accuracy_score),
    "matthews_correlation": pair(sk.matthews_corrcoef),
    "cohen_kappa": pair(sk.cohen_kappa_score),
    "confusion_matrix": lambda x: sk.confusion_matrix(x["references"], x["predictions"]).tolist(),
    "support_per_class": lambda x: np.bincount(x["references"]).tolist(),
    **{
        f"{kind}_{average}": averaged(kind, average)
        for kind in ("f1", "precision", "recall")
        for average in ("macro", "weighted")
    },
    **{f"{kind}_per_class": per_class(kind) for kind in ("f1", "precision", "recall")},
    "auroc": against_the_rest(sk.roc_auc_score),
    "average_precision": against_the_rest(sk.average_precision_score),
    "log_loss": with_labels(sk.log_loss),
    "brier": with_labels(sk.brier_score_loss),
    "ece": calibration_error,
    "reliability": reliability,
    "subset_accuracy": pair(sk.accuracy_score),
    "hamming_loss": pair(sk.hamming_loss),
    **{
        f"multilabel_{kind}_{average}": averaged(kind, average)
        for kind in ("f1", "precision", "recall")
        for average in ("micro", "macro", "samples")
        if kind == "f1" or average != "samples"
    },
    "multilabel_auroc_macro": scored(sk.roc_auc_score, average="macro"),
    "multilabel_average_precision_macro": scored(sk.average_precision_score, average="macro"),
    "mse": pair(sk.mean_squared_error),
    "rmse": pair(sk.root_mean_squared_error),
    "mae": pair(sk.mean_absolute_error),
    "r2": pair(sk.r2_score),
    "pearson": lambda x: scipy.stats.pearsonr(x["predictions"], x["references"]).statistic,
    "spearman": lambda x: scipy.stats.spearmanr(x["predictions"], x["references"]).statistic,
    "perplexity": lambda x: np.exp(np.sum(x["nll"]) / np.sum(x["n_tokens"])),
    "word_perplexity": lambda x: np.exp(np.sum(x["nll"]) / np.sum(x["n_words"])),
    "bits_per_byte": lambda x: np.sum(x["nll"]) / np.log(2) / np.sum(x["n_bytes"]),
    "acc": lambda x: chosen(x, [[1] * len(row) for row in x["nll"]]),
    "acc_norm": lambda x: chosen(x, x["n_bytes"]),
    "exact_match": lambda x: squad(x, lambda right, text: right.strip() == text.strip()),
    "exact_match_squad": lambda x: squad(x, lambda r, t: squad_tokens(r) == squad_tokens(t)),
    "token_f1": lambda x: squad(x, squad_f1),
    "bleu": lambda x: sacrebleu.corpus_bleu(x["predictions"], columns(x)).score,
    "chrf": lambda x: sacrebleu.corpus_chrf(x["predictions"], columns(x)).score,
    **{kind: rouge(kind) for kind in ("rouge1", "rouge2", "rougeL")},
}


def test_names_are_unique_and_every_family_has_some() -> None:
    sizes = [len(family.METRICS) for family in families().values()]
    assert min(sizes) > 0
    assert sum(sizes) == len(shipped_metrics()) == len(REFERENCE)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", shipped_metrics())
def test_metric_equals_its_reference(name: str, seed: int) -> None:
    inputs = random_inputs(name, seed)
    value, expected = shipped_metrics()[name].compute(**inputs), REFERENCE[name](inputs)
    if shipped_metrics()[name].higher_is_better is None:
        assert value == expected
    else:
        assert type(value) is float
        assert value == pytest.approx(expected, abs=1e-9)
        assert math.isfinite(value)


@pytest.mark.parametrize("name", shipped_metrics())
def test_a_metric_tells_good_from_bad_in_its_direction(name: str) -> None:
    """The references themselves, as predictions, score no worse than a guess."""
    metric = shipped_metrics()[name]
    if metric.higher_is_better is None:
        assert scalar_metrics([name]) == []
        return
    guess = random_inputs(name, 1)
    value, best = metric.compute(**guess), metric.compute(**perfect(guess))
    assert best > value if metric.higher_is_better else best < value
    assert scalar_metrics([name]) == [name]


@pytest.mark.parametrize("name", shipped_metrics())
def test_no_rows_give_no_number(name: str) -> None:
    metric = shipped_metrics()[name]
    value = metric.compute(**{key: [] for key in metric.inputs})
    assert value == [] if metric.higher_is_better is None else math.isnan(value)


def test_perplexity_is_not_the_mean_of_the_documents() -> None:
    value = shipped_metrics()["perplexity"].compute(
        nll=[math.log(8) * 3, math.log(2)], n_tokens=[3, 1]
    )
    assert value == pytest.approx(2 ** ((9 + 1) / 4))
    assert value != pytest.approx((8 + 2) / 2)


def test_a_perplexity_that_overflows_is_infinite() -> None:
    assert shipped_metrics()["perplexity"].compute(nll=[1e6], n_tokens=[10]) == math.inf


def test_every_task_names_shipped_metrics_and_directions_are_right() -> None:
    for task in task_classes().values():
        assert task().metrics()  # type: ignore[call-arg]
        assert set(task().metrics()) <= set(metric_names())  # type: ignore[call-arg]
    assert higher_is_better("accuracy")
    assert not higher_is_better("perplexity")
    assert not higher_is_better("loss")
