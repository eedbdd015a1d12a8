"""Scores are those of the model: no padding row, no NaN, no position that it does not have."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from hfcli.errors import RunError
from hfcli.evaluation.loglikelihood import Pick, nll_of
from hfcli.generation.beams import beam_search
from hfcli.generation.request import Request
from hfcli.generation.sampling import SamplingParams, sample_tokens
from hfcli.models.load import LoadedModel, ensure_filler
from hfcli.models.resolve import ModelSource
from hfcli.tasks.base import context_length
from hfcli.tasks.scoring import reduce_all
from hfcli.tasks.text_classification import TextClassification
from hfcli.tasks.text_generation import TextGeneration
from tests.conftest import SENTENCES
from tests.helpers import prepared
from tests.models import causal, tiny

TEXTS = [*SENTENCES, " ".join(SENTENCES * 3)]
ROBERTA_LIKE = ("roberta", "xlm-roberta", "camembert", "mpnet", "data2vec-text", "longformer")


def loaded(auto: Any, kind: str, **changed: Any) -> LoadedModel:
    model = tiny.build(auto, tiny.config_of(kind, **changed))
    tokenizer = tiny.tokenizer()
    tokenizer.pad_token = None
    return LoadedModel(model, tokenizer, ModelSource("tiny", Path()))


def reduced(task: Any, held: LoadedModel, columns: dict[str, Any]) -> Any:
    encoded = prepared(task, Dataset.from_dict(columns), held, train=False)
    return encoded, reduce_all(
        task=task, model=held.model, prepared=encoded, batch_size=4, pad_token_id=0
    )


@pytest.mark.parametrize("windows", ["full", "hf-docs", "lm-eval", "llama.cpp"])
def test_a_loss_is_plain_transformers_where_there_is_no_padding_token(windows: Any) -> None:
    held = loaded(AutoModelForCausalLM, "gpt2")
    ensure_filler(held)
    embeddings: Any = held.model.get_input_embeddings()
    assert embeddings.weight.shape[0] == tiny.VOCABULARY
    task = TextGeneration(context=16, windows=windows)
    encoded, rows = reduced(task, held, {"text": TEXTS})
    found = total = 0.0
    for feature, (nll, _count) in zip(encoded.features, rows, strict=True):
        model: Any = held.model
        ids = torch.tensor([list(feature["input_ids"])])
        labels = torch.tensor(list(feature["labels"]))
        with torch.inference_mode():
            plain = torch.log_softmax(model(ids).logits[0].double(), -1)
        scored = (labels != -100).nonzero()[:, 0]
        total -= float(plain[scored, labels[scored]].sum())
        found += nll
    assert total > 10
    assert found == pytest.approx(total, rel=1e-6)


def spread_over(vocabulary: int) -> Any:
    """A Llama whose probabilities are those of a trained one: a few large, a long tail of small."""
    model: Any = tiny.build(AutoModelForCausalLM, tiny.config_of("llama", vocab_size=vocabulary))
    torch.manual_seed(0)
    with torch.no_grad():
        model.lm_head.weight.normal_(std=0.6)
    return model.eval()


def causal_loss(model: Any, ids: torch.Tensor) -> float:
    """Nats a token in float64, from the model's own logits."""
    logits = model(ids).logits[:, :-1].double().flatten(0, 1)
    return float(torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten()))


def test_a_loss_is_as_exact_as_float32_is() -> None:
    vocabulary = 50_257
    model = spread_over(vocabulary)
    with torch.inference_mode():
        first = torch.randint(vocabulary, (4, 1))
        ids = model.generate(first, do_sample=True, top_k=0, max_new_tokens=31, min_new_tokens=31)
        labels = torch.cat([ids[:, 1:], torch.full_like(ids[:, :1], -100)], -1)
        rows = TextGeneration().reduce(model(ids).logits, labels)
        picks = [Pick(row[:1], [row[1:], row[1:2]]) for row in ids.tolist()]
        chosen = [nll_of(model, [pick], share=False)[0][0] for pick in picks]
        single = causal_loss(model, ids)
        true = causal_loss(model.double(), ids)
    tokens = sum(count for _nll, count in rows)
    assert tokens == 4 * 31
    error = max(abs(single - true), 1e-7)
    assert abs(sum(nll for nll, _count in rows) / tokens - true) <= 3 * error
    assert abs(sum(chosen) / tokens - true) <= 3 * error


@pytest.mark.parametrize("kind", ROBERTA_LIKE)
def test_the_longest_text_is_one_that_the_model_takes(kind: str) -> None:
    held = loaded(AutoModelForSequenceClassification, kind, pad_token_id=1)
    held.tokenizer.model_max_length = 10**30
    longest = context_length(held.tokenizer, held.model)
    assert longest > 100
    task = TextClassification()
    text = " ".join(TEXTS * 20)
    encoded, rows = reduced(task, held, {"text": [text], "label": ["LABEL_0"]})
    assert len(encoded.features[0]["input_ids"]) == longest
    assert all(map(math.isfinite, rows[0]))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_numbers_become_no_score_and_no_text(value: float) -> None:
    held = loaded(AutoModelForCausalLM, "gpt2")
    embeddings: Any = held.model.get_input_embeddings()
    with torch.no_grad():
        embeddings.weight[:] = value
    request = Request(0, (5, 6, 7), 0, SamplingParams(), 4)
    ensure_filler(held)
    sampled = replace(request, decoding=SamplingParams(temperature=1.0))
    engine = causal.engine_of(held.model, held.tokenizer)
    config: Any = held.model.generation_config
    config.num_beams, config.pad_token_id = 2, 0
    ways: dict[str, Callable[[], Any]] = {
        "generate": lambda: list(engine.run([request])),
        "sampled": lambda: list(engine.run([sampled])),
        "beams": lambda: beam_search(held, [request], config, lambda text: None),
        "choices": lambda: nll_of(held.model, [Pick([5], [[6], [7, 8]])], share=False),
        "perplexity": lambda: reduced(TextGeneration(context=16), held, {"text": TEXTS}),
    }
    for name, way in ways.items():
        with pytest.raises(RunError, match="NaN logits"):
            print(name, way())  # noqa: T201


def test_a_classifier_of_nan_weights_gives_no_label() -> None:
    held = loaded(AutoModelForSequenceClassification, "bert")
    ensure_filler(held)
    columns = {"text": TEXTS, "label": ["LABEL_0"] * len(TEXTS)}
    assert reduced(TextClassification(), held, columns)[1]
    model: Any = held.model
    with torch.no_grad():
        model.classifier.weight[:] = math.nan
    with pytest.raises(RunError, match="NaN logits"):
        reduced(TextClassification(), held, columns)


def test_one_row_of_nan_is_enough() -> None:
    logits = torch.zeros(3, 5)
    logits[1] = math.nan
    with pytest.raises(RunError, match="NaN logits"):
        sample_tokens(logits, [SamplingParams()] * 3, [0] * 3, [0] * 3)
