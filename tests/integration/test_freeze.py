"""Freezing by layer count, on families that keep their layers in different places."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from hfcli.errors import ModelError, RecipeError
from hfcli.models.freeze import freeze_layers, transformer_blocks

MODELS: dict[str, Any] = {
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=50, n_positions=16, n_embd=8, n_layer=3, n_head=2)
    ),
    "llama": lambda: LlamaForSequenceClassification(
        LlamaConfig(
            vocab_size=50, hidden_size=8, intermediate_size=8, num_hidden_layers=3,
            num_attention_heads=2, num_key_value_heads=1, pad_token_id=0,
        )
    ),
    "bert": lambda: BertForSequenceClassification(
        BertConfig(
            vocab_size=50, hidden_size=8, num_hidden_layers=3, num_attention_heads=2,
            intermediate_size=8,
        )
    ),
    "distilbert": lambda: DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=50, dim=8, n_layers=3, n_heads=2, hidden_dim=8)
    ),
}  # fmt: skip
EMBEDDINGS = {
    "gpt2": ("transformer.wte.", "transformer.wpe."),
    "llama": ("model.embed_tokens.",),
    "bert": ("bert.embeddings.",),
    "distilbert": ("distilbert.embeddings.",),
}


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("family", MODELS)
def test_embeddings_and_the_first_layers_are_frozen_and_nothing_else(
    family: str, count: int
) -> None:
    model = MODELS[family]()
    name, _ = transformer_blocks(model)
    frozen = (*EMBEDDINGS[family], *(f"{name}.{i}." for i in range(count)))
    returned = freeze_layers(model=model, count=count)
    parameters = dict(model.named_parameters())
    assert {n for n, p in parameters.items() if not p.requires_grad} == {
        n for n in parameters if n.startswith(frozen)
    }
    assert returned == sum(p.numel() for n, p in parameters.items() if n.startswith(frozen)) > 0
    assert any(p.requires_grad for p in parameters.values())


def test_what_is_frozen_does_not_learn_and_a_tied_head_stays_tied() -> None:
    model = MODELS["gpt2"]()
    freeze_layers(model=model, count=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ids = torch.arange(8)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0).step()
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert all(name.startswith(("transformer.h.2.", "transformer.ln_f.")) for name in changed)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_more_layers_than_there_are_is_an_error_that_says_how_many() -> None:
    with pytest.raises(RecipeError, match="cannot freeze 4 layers: the model has 3"):
        freeze_layers(model=MODELS["bert"](), count=4)


def test_layers_that_are_one_and_the_same_cannot_be_counted() -> None:
    config = AlbertConfig(
        vocab_size=50, embedding_size=8, hidden_size=8, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=8,
    )  # fmt: skip
    with pytest.raises(ModelError, match="its 3 layers are not in one list"):
        freeze_layers(model=AlbertForSequenceClassification(config), count=1)
