"""The loss from hidden states is the model's own, and so are its gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoModelForCausalLM,
    Cohere2Config,
    Cohere2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from hfcli.training import head_loss as module
from hfcli.training.head_loss import head_loss
from tests.helpers import is_pinned

LABELS = torch.tensor([[-100, 5, 6, 7, -100, 9], [-100, -100, 3, 4, -100, -100]])
IDS = torch.tensor([[1, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 0]])


def tiny_llama(**options: Any) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, initializer_range=0.3, **options,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def loss_of(ours: Any, inputs: dict[str, Any], n_items: Any) -> Any:
    return ours(inputs, n_items)


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("tokens_at_once", [2, 1024])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "untied"])
def test_loss_and_gradients_are_the_models_own(
    kind: str, tokens_at_once: int, tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOKENS_AT_ONCE", tokens_at_once)
    model: Any = (
        AutoModelForCausalLM.from_pretrained(tiny_gpt2)
        if kind == "gpt2"
        else tiny_llama(tie_word_embeddings=kind == "llama")
    )
    model = model.double().eval()
    ours = head_loss(model)
    assert ours is not None
    inputs = {"input_ids": IDS, "attention_mask": (IDS > 0).long(), "labels": LABELS}
    n_items = torch.tensor(11.0)
    own = model(**inputs, num_items_in_batch=n_items).loss
    own.backward()
    expected = gradients(model)
    made = loss_of(ours, inputs, n_items)
    made.backward()
    found = gradients(model)
    # The model's own is summed up in float32.
    torch.testing.assert_close(made, own, atol=1e-6, rtol=0, check_dtype=False)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-5)


def test_a_scaled_loss_has_scaled_gradients(tiny_gpt2: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_gpt2).double().eval()
    ours = head_loss(model)
    assert ours is not None
    loss_of(ours, {"input_ids": IDS, "labels": LABELS}, 5).backward()
    once = gradients(model)
    (loss_of(ours, {"input_ids": IDS, "labels": LABELS}, 5) * 3).backward()
    for name, value in gradients(model).items():
        torch.testing.assert_close(value, once[name] * 3)


def test_a_model_that_does_more_to_its_logits_keeps_its_own_loss() -> None:
    torch.manual_seed(0)
    try:
        config = Cohere2Config(
            vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=1, logit_scale=0.5,
        )  # fmt: skip
    except StrictDataclassError:
        assert not is_pinned()
        pytest.skip("this transformers cannot make a Cohere2Config with this huggingface-hub")
    assert head_loss(Cohere2ForCausalLM(config)) is None


def test_frozen_heads_need_no_gradient(tiny_gpt2: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_gpt2).eval()
    model.transformer.wte.weight.requires_grad_(False)
    ours = head_loss(model)
    assert ours is not None
    loss_of(ours, {"input_ids": IDS, "labels": LABELS}, 5).backward()
    assert model.transformer.wte.weight.grad is None
    assert model.transformer.h[0].attn.c_attn.weight.grad is not None
