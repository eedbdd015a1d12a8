"""A fused decoder passes compute what the modules compute, and only for models they know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.device import computes_bf16
from hfcli.fast.decoders import ARCHITECTURES, build_decoder
from hfcli.fast.linear import pack
from hfcli.generation.admission import MemoryBudget
from hfcli.generation.chat import open_conversation
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import open_engine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.scheduler import Batch
from hfcli.generation.slots import Slots
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import Listener

SIZES = {"vocab_size": 300, "bos_token_id": 0, "eos_token_id": 0}
GPT2 = {"model_type": "gpt2", "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 64}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 96,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
}
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": GPT2,
    "gpt2-scaled-by-layer": {**GPT2, "scale_attn_by_inverse_layer_idx": True},
    "gpt2-unscaled": {**GPT2, "scale_attn_weights": False},
    "gpt2-untied": {**GPT2, "tie_word_embeddings": False, "n_inner": 32},
    "llama": LLAMA,
    "llama-shared-heads": {**LLAMA, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "llama-wide-heads": {**LLAMA, "head_dim": 24, "attention_bias": True, "mlp_bias": True},
    "llama-scaled-rotation": {
        **LLAMA,
        "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1000.0},
    },
}
PROMPTS = [[1, 2, 3, 4, 5], [7, 8, 9], [4, 4, 4, 4, 4, 4, 9]]


def made(config: dict[str, Any], dtype: torch.dtype = torch.float32) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    numbers = {key: value for key, value in {**config, **SIZES}.items() if key != "model_type"}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(config["model_type"], **numbers))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.to(dtype).eval()


def passes(slots: Slots) -> list[torch.Tensor]:
    """Logits of prompts of several lengths, then of one and of several tokens, of three rows and
    of one."""
    found = [slots.prefill(PROMPTS)]
    found += [slots.decode(tokens) for tokens in ([[5], [6], [7]], [[5, 8], [6, 9], [7, 2]])]
    slots.free(0)
    slots.free(0)
    found += [slots.decode([[4]]), slots.decode([[4, 5, 6]])]
    return found


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS.keys())
@torch.inference_mode()
def test_logits_are_those_of_the_modules(config: dict[str, Any], packed: bool) -> None:
    model = made(config)
    expected = passes(Slots(model))
    if packed:
        pack(model)
    decoder = build_decoder(model)
    assert decoder is not None
    found = passes(Slots(model, decoder))
    assert {kind["model_type"] for kind in MODELS.values()} == set(ARCHITECTURES)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().max()) < 1e-5 * float(theirs.abs().max())


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
@torch.inference_mode()
def test_bfloat16_is_as_near_to_float32_as_that_of_the_modules(kind: str) -> None:
    if not computes_bf16(torch.device("cpu")):
        pytest.skip("this processor has no bfloat16")
    exact = passes(Slots(made(MODELS[kind])))
    model = made(MODELS[kind], torch.bfloat16)
    theirs = passes(Slots(model))
    pack(model)
    ours = passes(Slots(model, build_decoder(model)))

    def error(found: list[torch.Tensor]) -> float:
        return sum(float((f - e).abs().mean()) for f, e in zip(found, exact, strict=True))

    assert error(ours) < 1.2 * error(theirs)


def hooked(model: Any) -> Any:
    model.transformer.h[0].register_forward_hook(lambda *_: None)
    return model


def adapted(model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(target_modules=["c_attn"], fan_in_fan_out=True)).eval()


def adapted_in_place(model: Any) -> Any:
    return adapted(model).base_model.model


def eager(model: Any) -> Any:
    model.set_attn_implementation("eager")
    return model


CHANGES: dict[str, Callable[[Any], Any]] = {
    "training": lambda model: model.train(),
    "hooked": hooked,
    "adapted": adapted,
    "adapted in place": adapted_in_place,
    "eager": eager,
}


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft asks for it
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_model_that_computes_something_else_keeps_its_modules(
    change: Callable[[Any], Any],
) -> None:
    model = made(GPT2)
    assert build_decoder(model) is not None
    assert build_decoder(change(model)) is None


@pytest.mark.parametrize(
    "config",
    [
        {**GPT2, "activation_function": "relu"},
        {**GPT2, "reorder_and_upcast_attn": True},
        {**GPT2, "add_cross_attention": True},
        {**LLAMA, "hidden_act": "gelu"},
    ],
)
def test_a_configuration_that_is_not_known_keeps_its_modules(config: dict[str, Any]) -> None:
    assert build_decoder(made(config)) is None


@pytest.mark.parametrize("off", [False, True], ids=["on", "off"])
def test_it_is_switched_off_by_name(tiny_gpt2: Path, off: bool) -> None:
    without = frozenset({"fused-decoder"} if off else ())
    choice = ModelChoice(str(tiny_gpt2), device="cpu", without=without)
    ignore: Listener = lambda _event: None  # noqa: E731
    engine = open_engine(EngineOptions(choice=choice, listener=ignore))
    talk = open_conversation(
        choice=choice, settings=GenerationSettings(), system=None, chat_template=False, seed=0,
        listener=ignore,
    )  # fmt: skip
    memories = (Batch(engine, MemoryBudget(1)).memory, talk._memory)
    for memory in memories:
        assert isinstance(memory, Slots)
        assert (memory.decoder is None) == off
