"""A fused decoder in scores gives what the modules give, or leaves a model alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
)

from hfcli.fast.decoders.whole_texts import install
from hfcli.fast.prepared import PreparedModel
from hfcli.tasks.logits import TOKENS_AT_ONCE, log_softmax, token_losses
from hfcli.tasks.prepared import IGNORE

GPT2 = GPT2Config(vocab_size=99, n_positions=160, n_embd=32, n_layer=2, n_head=4, pad_token_id=0)
LLAMA = LlamaConfig(
    vocab_size=99, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, pad_token_id=0,
)  # fmt: skip
MODELS: dict[str, tuple[Any, Any]] = {
    "gpt2": (GPT2LMHeadModel, GPT2),
    "gpt2-classifier": (GPT2ForSequenceClassification, GPT2),
    "llama": (LlamaForCausalLM, LLAMA),
    "llama-classifier": (LlamaForSequenceClassification, LLAMA),
}
LENGTHS = (37, 9, 1, 22)  # 148 tokens with their padding: more than one multiple of 128


def made(name: str) -> PreTrainedModel:
    kind, config = MODELS[name]
    torch.manual_seed(0)
    model: PreTrainedModel = kind(config).eval()
    return model


def shorten(model: Any) -> bool:
    unused: Any = None
    installed, reason = install(PreparedModel(model, unused, unused))
    assert reason is None
    return installed


def texts() -> dict[str, torch.Tensor]:
    """Of several lengths, padded on the right."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 99, (len(LENGTHS), max(LENGTHS)), generator=generator)
    inside = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return {"input_ids": ids * inside, "attention_mask": inside.long()}


@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_the_logits_of_every_text_are_those_of_the_modules(name: str) -> None:
    model, batch = made(name), texts()
    before = model(**batch).logits
    calls: list[Any] = []
    body: Any = model.base_model
    assert shorten(model)
    layers = body.h if hasattr(body, "h") else body.layers
    layers[0].register_forward_hook(lambda *given: calls.append(given))
    after = model(**batch).logits
    assert not calls, "the modules were used"
    if before.ndim == 3:  # what stands at the places of padding is never read
        inside = batch["attention_mask"].bool()
        before, after = before[inside], after[inside]
    torch.testing.assert_close(after, before, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@torch.inference_mode()
def test_other_inputs_go_the_models_own_way(name: str) -> None:
    plain, short, batch = made(name), made(name), texts()
    assert shorten(short)
    left = {key: values.flip(1) for key, values in batch.items()}
    placed = {"input_ids": batch["input_ids"], "position_ids": torch.arange(37)[None] // 2}
    embedded = {"inputs_embeds": plain.get_input_embeddings()(batch["input_ids"])}
    for inputs in (left, placed, embedded, {**batch, "use_cache": True}):
        assert torch.equal(short(**inputs).logits, plain(**inputs).logits)


def test_encoders_keep_their_modules(tiny_bert: Path) -> None:
    assert not shorten(AutoModelForSequenceClassification.from_pretrained(tiny_bert).eval())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, TOKENS_AT_ONCE, 3 * TOKENS_AT_ONCE + 5])
def test_losses_of_some_tokens_at_a_time_are_those_of_all(rows: int, dtype: torch.dtype) -> None:
    torch.manual_seed(rows)
    logits, labels = torch.randn(rows, 301).to(dtype), torch.randint(0, 301, (rows,))
    labels[1::3] = IGNORE
    labels[TOKENS_AT_ONCE : 2 * TOKENS_AT_ONCE] = IGNORE
    scored = labels != IGNORE
    found, taken = token_losses(logits, labels), labels[scored][:, None]
    alone = [token_losses(logits[i : i + 1], labels[i : i + 1]) for i in range(rows)]
    assert torch.equal(found, torch.cat(alone))
    told = log_softmax(logits[scored].float()).gather(-1, taken)[:, 0]
    assert torch.allclose(found, -told, rtol=0, atol=2e-6)
    exact = torch.nn.functional.cross_entropy(
        logits[scored].double(), labels[scored], reduction="none"
    )
    assert (found - exact).abs().max() < 2e-6
