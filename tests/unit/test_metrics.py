"""Metrics equal scikit-learn and hand-computed numbers; windows score every token once."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import sklearn.metrics as sk

from hfcli.metrics import higher_is_better, metric_names, shipped_metrics
from hfcli.metrics.modules import load_module
from hfcli.tasks import task_classes

REFERENCE: dict[str, Any] = {
    "accuracy": sk.accuracy_score,
    "matthews_correlation": sk.matthews_corrcoef,
    "confusion_matrix": lambda r, p: sk.confusion_matrix(r, p).tolist(),
    **{
        f"{name}_{average}": lambda r, p, n=name, a=average: getattr(sk, f"{n}_score")(
            r, p, average=a, zero_division=0
        )
        for name in ("f1", "precision", "recall")
        for average in ("macro", "weighted")
    },
}


def labels(seed: int, classes: int, *, never: int | None = None) -> tuple[list[int], list[int]]:
    draw = random.Random(seed)
    references = [draw.randrange(classes) for _ in range(97)]
    predictions = [r if draw.random() < 0.6 else draw.randrange(classes) for r in references]
    return [p if p != never else 0 for p in predictions], references


def test_every_shipped_classification_metric_has_a_reference() -> None:
    assert {n for n, m in shipped_metrics().items() if "references" in m.inputs} == set(REFERENCE)


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize(("seed", "classes", "never"), [(0, 2, None), (1, 4, None), (2, 5, 3)])
def test_metric_equals_scikit_learn(name: str, seed: int, classes: int, never: int | None) -> None:
    predictions, references = labels(seed, classes, never=never)
    value = shipped_metrics()[name].compute(predictions=predictions, references=references)
    expected = REFERENCE[name](references, predictions)
    assert value == (expected if isinstance(expected, list) else pytest.approx(expected, abs=1e-9))


@pytest.mark.parametrize("name", REFERENCE)
def test_the_evaluate_module_gives_the_same_number(name: str) -> None:
    import evaluate

    predictions, references = labels(3, 3)
    module = load_module(name, offline=True)
    assert isinstance(module, evaluate.Metric)
    value = module.compute(predictions=predictions, references=references)[name]
    plain = shipped_metrics()[name].compute(predictions=predictions, references=references)
    assert value == plain


def test_perplexity_and_bits_per_byte_by_hand() -> None:
    inputs = {"nll": [math.log(8) * 3, math.log(2)], "n_tokens": [3, 1], "n_bytes": [9, 1]}
    perplexity, bits = (load_module(n, offline=True) for n in ("perplexity", "bits_per_byte"))
    value = perplexity.compute(nll=inputs["nll"], n_tokens=inputs["n_tokens"])["perplexity"]
    assert value == pytest.approx(2 ** ((9 + 1) / 4))
    assert value != pytest.approx((8 + 2) / 2), "not the mean of the documents' perplexities"
    value = bits.compute(nll=inputs["nll"], n_bytes=inputs["n_bytes"])["bits_per_byte"]
    assert value == pytest.approx(10 / 10)


def test_a_perplexity_that_overflows_is_infinite() -> None:
    assert shipped_metrics()["perplexity"].compute(nll=[1e6], n_tokens=[10]) == math.inf


def test_every_task_names_shipped_metrics_and_directions_are_right() -> None:
    for task in task_classes().values():
        assert task().metrics()  # type: ignore[call-arg]
        assert set(task().metrics()) <= set(metric_names())  # type: ignore[call-arg]
    assert higher_is_better("accuracy")
    assert not higher_is_better("perplexity")
    assert not higher_is_better("loss")
