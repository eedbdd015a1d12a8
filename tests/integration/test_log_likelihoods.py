"""Log-likelihoods of choices and of documents are those of a plain forward pass, text by text."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM

from hfcli.evaluation.loglikelihood import Pick, can_share, nll_of
from hfcli.models.load import LoadedModel, ensure_filler
from hfcli.models.resolve import ModelSource
from hfcli.tasks.scoring import reduce_all
from hfcli.tasks.text_generation import TextGeneration
from tests.conftest import SENTENCES
from tests.helpers import prepared
from tests.models import tiny

# What a prompt may be read once for. Windows are 8 tokens, so that texts are longer.
KINDS = {
    "gpt2": True,
    "llama": True,
    "opt": True,
    "gpt_neox": True,
    "gptj": True,
    "gpt_neo": False,
    "bloom": False,
    "mistral": False,
    "gemma2": False,
    "mamba": False,
}
BEHIND = ("gpt_neo", "mistral", "gemma2")  # a window that holds each text, but not all columns
LONG, SHORT = ((40, 5, 9), (3, 6, 20), (17, 1, 2), (12, 8, 8)), ((2, 2, 4, 3, 3), (3, 1, 2, 4, 2))
ROUNDING: dict[str, Any] = {"rel": 1e-6, "abs": 1e-5}


def loaded(kind: str, **changed: Any) -> LoadedModel:
    model = tiny.build(AutoModelForCausalLM, tiny.config_of(kind, **changed))
    held = LoadedModel(model, tiny.tokenizer(), ModelSource("tiny", Path()))
    ensure_filler(held)
    return held


def picks(sizes: Sequence[Sequence[int]]) -> list[Pick]:
    """Prompts and choices of so many tokens."""
    chosen = random.Random(1)
    texts = [[chosen.choices(range(5, tiny.VOCABULARY), k=n) for n in row] for row in sizes]
    return [Pick(prompt, choices) for prompt, *choices in texts]


def plain_nll(model: Any, context: Sequence[int], after: Sequence[int]) -> float:
    """-ln p of what follows, by one pass over one text."""
    ids = torch.tensor([[*context, *after]])
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0, len(context) - 1 : -1]
    chances = torch.log_softmax(logits.double(), -1)
    return -float(chances.gather(1, torch.tensor([*after])[:, None]).sum())


def check_choices(model: Any, asked: Sequence[Pick], share: bool) -> None:
    expected = [[plain_nll(model, p.context, choice) for choice in p.choices] for p in asked]
    assert min(map(min, expected)) > 1
    found = nll_of(model, asked, share=share)
    for row, right in zip(found, expected, strict=True):
        assert row == pytest.approx(right, **ROUNDING)


@pytest.mark.parametrize("kind", KINDS)
def test_choices_cost_what_a_plain_pass_says(kind: str) -> None:
    model, asked = loaded(kind).model, picks(LONG)
    share = can_share(model, *(max(getattr(p, n) for p in asked) for n in ("longest", "read")))
    assert share == KINDS[kind]
    check_choices(model, asked, share)


@pytest.mark.parametrize("kind", BEHIND)
def test_columns_behind_a_window_change_no_choice(kind: str) -> None:
    model, asked = loaded(kind).model, picks(SHORT)
    longest, columns = (max(getattr(p, n) for p in asked) for n in ("longest", "read"))
    assert longest < tiny.WINDOW < columns
    check_choices(model, asked, can_share(model, longest, columns))


@pytest.mark.parametrize("windows", ["full", "hf-docs"])
@pytest.mark.parametrize("kind", KINDS)
def test_documents_cost_what_a_plain_pass_says(kind: str, windows: Any) -> None:
    held = loaded(kind)
    task = TextGeneration(context=24, stride=12, windows=windows)
    rows = Dataset.from_dict({"text": [*SENTENCES, " ".join(SENTENCES), "The sea"]})
    encoded = prepared(task, rows, held, train=False)
    found = reduce_all(task=task, model=held.model, prepared=encoded, batch_size=8, pad_token_id=0)
    assert len({len(feature["input_ids"]) for feature in encoded.features}) > 2
    model: Any = held.model
    for feature, (nll, count) in zip(encoded.features, found, strict=True):
        ids, labels = (torch.tensor([*feature[name]]) for name in ("input_ids", "labels"))
        with torch.inference_mode():
            chances = torch.log_softmax(model(ids[None]).logits[0].double(), -1)
        scored = (labels != -100).nonzero()[:, 0]
        assert len(scored) == count
        # Labels stand at the tokens that predict them.
        expected = -float(chances[scored, labels[scored]].sum())
        assert nll == pytest.approx(expected, **ROUNDING)
