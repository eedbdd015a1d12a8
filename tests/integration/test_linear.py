"""Packed weights give what plain ones give, and texts do not depend on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.device import computes_bf16
from hfcli.fast import linear as packing
from hfcli.fast.linear import PrepackedWeights, pack, unpacked_weights
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine, open_engine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.request import Request
from hfcli.generation.sampling import SamplingParams
from tests.helpers import ROOT

CPU = torch.device("cpu")
IDS = torch.arange(24).reshape(2, 12)


@pytest.fixture
def pack_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "SMALLEST", 0)


def tiny(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


@torch.inference_mode()
def test_float32_is_the_same_within_rounding_and_exactly_where_asked(tiny_gpt2: Path) -> None:
    model = tiny(tiny_gpt2)
    before = model(IDS).logits
    assert pack(model) == 2 * 4 + 1  # Conv1D of two layers, and the head tied to the embeddings
    assert torch.allclose(model(IDS).logits, before, rtol=0, atol=1e-4 * float(before.abs().max()))
    with unpacked_weights():
        assert torch.equal(model(IDS).logits, before)
    assert model.get_input_embeddings().weight.shape[0] == before.shape[-1], "still there"


@torch.inference_mode()
def test_bfloat16_is_as_near_to_float32_as_unpacked(tiny_gpt2: Path) -> None:
    if not computes_bf16(CPU):
        pytest.skip("this processor has no bfloat16")
    exact = tiny(tiny_gpt2)(IDS).logits
    model = tiny(tiny_gpt2, torch.bfloat16)
    unpacked = (model(IDS).logits.float() - exact).abs().mean()
    pack(model)
    packed = (model(IDS).logits.float() - exact).abs().mean()
    assert packed < 1.5 * unpacked < 0.05 * exact.abs().max()


def test_small_models_are_left_alone(tiny_gpt2: Path) -> None:
    assert not PrepackedWeights().fits(tiny(tiny_gpt2))


@pytest.mark.usefixtures("pack_small")
def test_texts_of_a_batch_are_those_of_plain_weights(tiny_gpt2: Path) -> None:
    plain = engine_of(tiny_gpt2, without=frozenset({"prepacked-weights"}))
    packed = engine_of(tiny_gpt2)
    assert len(list(packed_layers(plain))) == 0
    assert len(list(packed_layers(packed))) == 9
    for decoding in (SamplingParams(), SamplingParams(temperature=1.0)):
        assert texts(packed, decoding) == texts(plain, decoding)


@pytest.mark.usefixtures("pack_small")
def test_one_text_in_float32_is_not_packed(tiny_gpt2: Path) -> None:
    engine = engine_of(tiny_gpt2, one_stream=True)
    texts(engine, SamplingParams(), rows=1)
    assert not list(packed_layers(engine)), "it wins nothing"


@pytest.mark.usefixtures("pack_small")
def test_one_text_in_bfloat16_is_packed_after_its_first_token(tiny_gpt2: Path) -> None:
    if not computes_bf16(CPU):
        pytest.skip("this processor has no bfloat16")
    engine = engine_of(tiny_gpt2, one_stream=True, dtype="bfloat16")
    assert not list(packed_layers(engine))
    texts(engine, SamplingParams(), rows=1)
    assert len(list(packed_layers(engine))) == 9


def engine_of(folder: Path, *, one_stream: bool = False, **choice: Any) -> TransformersEngine:
    options = EngineOptions(
        choice=ModelChoice(str(folder), device="cpu", **choice),
        listener=lambda event: None,
        one_stream=one_stream,
        batch_size=1 if one_stream else 5,
    )
    return open_engine(options)


def packed_layers(engine: TransformersEngine) -> Iterator[Any]:
    return (m for m in engine.loaded.model.modules() if type(m).__name__ == "PackedLinear")


def texts(
    engine: TransformersEngine, decoding: SamplingParams, rows: int = 7
) -> dict[int, tuple[int, ...]]:
    requests = [Request(i, tuple(range(1, 4 + i)), i, decoding, 20) for i in range(rows)]
    return {f.request.number: f.ids for f in engine.run(requests)}


@torch.inference_mode()
def test_perplexity_in_bfloat16_is_within_half_a_hundredth() -> None:
    if not computes_bf16(CPU):
        pytest.skip("this processor has no bfloat16")
    from transformers import AutoTokenizer

    folder = ROOT / "hfcli" / "bundled"
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tokens = AutoTokenizer.from_pretrained(folder)(text, verbose=False)["input_ids"]
    width = min(tiny(folder).config.n_positions, 256)
    ids = torch.tensor(tokens[: len(tokens) // width * width]).reshape(-1, width)
    losses = []
    for dtype in (torch.float32, torch.bfloat16):
        model = tiny(folder, dtype)
        pack(model)
        logits = model(ids).logits[:, :-1].float()
        losses.append(torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()))
    assert ids.numel() > 2000
    assert abs(float(torch.exp(losses[1] - losses[0])) - 1) < 0.005


def test_samples_of_a_model_in_training_leave_its_layers_as_they_are(
    tiny_gpt2: Path, pack_small: None
) -> None:
    """A packed layer has no gradient: training would go on, and change nothing."""
    from hfcli.generation.loading import load_for_generation
    from hfcli.generation.samples import write_samples

    loaded = load_for_generation(ModelChoice(str(tiny_gpt2), device="cpu"), print)
    assert PrepackedWeights().fits(loaded.model)
    before = dict(loaded.model.named_modules())
    (text,) = write_samples(loaded, ["The lamp"])
    assert text
    assert dict(loaded.model.named_modules()) == before
