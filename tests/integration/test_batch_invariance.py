"""In bfloat16, texts of a file do not depend on how they are batched, to the last bit."""

from __future__ import annotations

import functools
import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.device import computes_bf16
from hfcli.fast import batch_invariance
from hfcli.fast import linear as packing
from hfcli.fast.batch_invariance import InvariantAttention
from hfcli.fast.decoders import build_decoder
from hfcli.fast.linear import STEP, pack
from hfcli.generation import loading
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine, open_engine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.request import Request
from hfcli.generation.sampling import SamplingParams
from hfcli.generation.slots import Slots

LENGTHS = (1, 2, 9, 31, 32, 33, 60, 127, 128, 129, 180)
DECODINGS = {"greedy": SamplingParams(), "sampled": SamplingParams(temperature=0.9, top_p=0.95)}

pytestmark = pytest.mark.skipif(
    not computes_bf16(torch.device("cpu")), reason="this processor has no bfloat16"
)


@pytest.fixture(autouse=True)
def pack_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "SMALLEST", 0)


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def folder(
    request: pytest.FixtureRequest, tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A random model of 256 positions, wide enough that sums have an order."""
    from transformers import (
        AutoTokenizer,
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
    )

    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    size: dict[str, Any] = {"vocab_size": 1024, "bos_token_id": 0, "eos_token_id": 0}
    torch.manual_seed(0)
    model: Any = (
        GPT2LMHeadModel(GPT2Config(n_positions=256, n_embd=192, n_layer=3, n_head=3, **size))
        if request.param == "gpt2"
        else LlamaForCausalLM(
            LlamaConfig(
                hidden_size=192,
                intermediate_size=512,
                num_hidden_layers=3,
                num_attention_heads=6,
                num_key_value_heads=2,
                max_position_embeddings=256,
                **size,
            )
        )
    )
    place = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def opened(folder: Path, rows: int | None = None, **choice: Any) -> TransformersEngine:
    options = EngineOptions(
        choice=ModelChoice(str(folder), device="cpu", **choice),
        listener=lambda event: None,
        batch_size=rows,
        many=True,
    )
    return open_engine(options)


def texts(engine: TransformersEngine, decoding: SamplingParams) -> dict[int, tuple[int, ...]]:
    draw = random.Random(0)
    prompts = [[draw.randrange(1024) for _ in range(n)] for n in LENGTHS * 4]
    requests = [
        Request(i, tuple(ids), i, decoding, draw.choice((3, 11, 40)))
        for i, ids in enumerate(prompts)
    ]
    return {f.request.number: f.ids for f in engine.run(requests)}


@pytest.mark.parametrize("decoding", DECODINGS.values(), ids=DECODINGS.keys())
def test_a_batch_of_any_size_writes_what_a_batch_of_one_does(
    folder: Path, decoding: SamplingParams
) -> None:
    alone = opened(folder, 1, dtype="bfloat16")
    if not alone.batch_invariant and not os.environ.get("CI"):
        pytest.skip("this processor adds up a row in an order that depends on the others")
    assert alone.batch_invariant
    one = texts(alone, decoding)
    assert len(one) == 4 * len(LENGTHS)
    for rows in (4, STEP + 12):
        engine = opened(folder, rows, dtype="bfloat16")
        assert texts(engine, decoding) == one
        assert engine.counts.batch_size == rows


def test_a_type_of_its_own_choice_is_bfloat16_only_where_rows_stand_apart(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "bfloat16_wins", lambda _bytes: (True, "told to"))
    engine = opened(folder)
    assert (engine.loaded.model.dtype, engine.batch_invariant) == (torch.bfloat16, True)
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path))
    for name in ("fused-decoder", "prepacked-weights", "batch-invariance"):
        assert opened(folder, without=frozenset({name})).exact
    monkeypatch.setattr(batch_invariance, "_differs_by", lambda *_: 1.0)
    assert opened(folder).exact
    assert opened(folder, dtype="bfloat16").loaded.model.dtype == torch.bfloat16


@torch.inference_mode()
def test_rows_that_depend_on_each_other_are_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    decoder = build_decoder(model)
    assert decoder is not None
    pack(model, batch_invariant=True)
    rows = functools.partial(Slots, model, decoder, batch_invariant=True)
    assert batch_invariance._differs_by(model, rows, 256) == 0
    last = InvariantAttention._last

    def leaky(self: Any, q: Any, k: Any, v: Any, scale: float) -> Any:
        found = last(self, q, k, v, scale)
        return found if len(found) == 1 else found * 1.01

    monkeypatch.setattr(InvariantAttention, "_last", leaky)
    assert batch_invariance._differs_by(model, rows, 256) > 0
