"""The engine llama-cpp: its bookkeeping against a stand-in of the library, and the library itself
where it is installed (it has no wheels, and takes minutes to build)."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.gguf_file import write_gguf
from hfcli.errors import HfcliError, ModelError, RecipeError, RunError
from hfcli.generation import llama_rows
from hfcli.generation.chat import open_conversation
from hfcli.generation.engines import open_engine
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine
from hfcli.generation.llama_rows import LlamaModel, LlamaRows
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import TextOptions, generate
from hfcli.generation.sampling import SamplingParams
from hfcli.recipe.sections import GenerationSettings
from tests.conftest import build_gpt2
from tests.integration.test_engine import requests_for, texts

ROWS = [[5, 6, 7], [8], [9, 10, 11, 12, 13]]
INSTALLED = importlib.util.find_spec("llama_cpp") is not None


class FakeLibrary:
    """What LlamaRows calls, over a transformers model: sequences are lists of tokens."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.contexts_made: list[tuple[int, int]] = []

    llama_log_callback = staticmethod(lambda function: function)
    llama_log_set = staticmethod(lambda *_: None)
    llama_backend_init = staticmethod(lambda: None)
    llama_model_default_params = staticmethod(SimpleNamespace)
    llama_context_default_params = staticmethod(SimpleNamespace)
    llama_model_load_from_file = staticmethod(lambda path, _: None if b"bad" in path else "model")
    llama_model_get_vocab = staticmethod(lambda _: "vocabulary")
    llama_vocab_is_eog = staticmethod(lambda _, i: i == 0)
    llama_model_n_ctx_train = staticmethod(lambda _: 64)
    llama_model_n_embd = staticmethod(lambda _: 32)
    llama_model_n_layer = staticmethod(lambda _: 2)
    llama_model_n_head = llama_model_n_head_kv = staticmethod(lambda _: 4)
    llama_model_has_encoder = staticmethod(lambda _: False)
    llama_get_memory = staticmethod(lambda context: context)
    llama_batch_free = staticmethod(lambda _: None)
    llama_free = staticmethod(lambda context: context.rows.clear())

    def llama_vocab_n_tokens(self, _: Any) -> int:
        return int(self.model.config.vocab_size)

    def llama_init_from_model(self, _: Any, parameters: Any) -> Any:
        self.contexts_made.append((parameters.n_seq_max, parameters.n_ctx // parameters.n_seq_max))
        return SimpleNamespace(rows={}, size=parameters.n_seq_max, logits=None)

    def llama_batch_init(self, n: int, _embeddings: int, _most: int) -> Any:
        names = ("token", "pos", "n_seq_id", "logits")
        return SimpleNamespace(seq_id=[[0] for _ in range(n)], **{k: [0] * n for k in names})

    def llama_decode(self, context: Any, batch: Any) -> int:
        told = []
        for i in range(batch.n_tokens):
            row = context.rows.setdefault(batch.seq_id[i][0], [])
            assert batch.pos[i] == len(row)
            assert batch.seq_id[i][0] < context.size
            row.append(batch.token[i])
            if batch.logits[i]:
                with torch.inference_mode():
                    told.append(self.model(torch.tensor([row])).logits[0, -1])
        context.logits = torch.stack(told).numpy() if told else None
        return 0

    def llama_get_logits(self, context: Any) -> Any:
        return context.logits.ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def llama_memory_seq_rm(self, context: Any, row: int, start: int, _end: int) -> bool:
        if start <= 0:
            context.rows.pop(row, None)
        else:
            del context.rows[row][start:]
        return True

    def llama_memory_seq_cp(self, context: Any, row: int, to: int, _start: int, _end: int) -> None:
        context.rows[to] = list(context.rows[row])

    def llama_state_seq_get_size(self, context: Any, row: int) -> int:
        return 8 * (1 + len(context.rows[row]))

    def llama_state_seq_get_data(self, context: Any, held: Any, _size: int, row: int) -> None:
        told = np.array([context.size, *context.rows[row]], dtype=np.int64)
        ctypes.memmove(held, told.ctypes.data, len(held))

    def llama_state_seq_set_data(self, context: Any, held: Any, size: int, row: int) -> int:
        n_stream, *tokens = np.frombuffer(bytes(held), dtype=np.int64).tolist()
        if n_stream != context.size:  # as llama.cpp has it, where rows do not share their columns
            return 0
        context.rows[row] = tokens
        return size


@pytest.fixture
def fake(tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    from transformers import AutoModelForCausalLM

    library = FakeLibrary(AutoModelForCausalLM.from_pretrained(tiny_gpt2).eval())
    monkeypatch.setitem(sys.modules, "llama_cpp.llama_cpp", library)
    return library


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    # transformers reads no other number of positions from a GPT-2 GGUF file.
    write_gguf(build_gpt2(folder, n_positions=1024), folder / "tiny.gguf")
    return folder / "tiny.gguf"


def options(name: Path | str, **more: Any) -> EngineOptions:
    choice = {k: more.pop(k) for k in ("dtype", "adapter", "load_in") if k in more}
    return EngineOptions(ModelChoice(str(name), device="cpu", **choice), print, **more)


def last(rows: Any, ids: list[int]) -> torch.Tensor:
    return LlamaRows(rows.model).prefill([ids])[0]


def test_rows_keep_their_tokens_through_growth_forks_and_leaving(
    fake: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_rows, "FIRST_COLUMNS", 4)
    monkeypatch.setattr(llama_rows, "TOKENS_AT_ONCE", 4)
    rows = LlamaModel("tiny.gguf", gpu=False).open_decoder_state(5)
    told = rows.prefill(ROWS)
    assert rows.lengths == [3, 1, 5]
    for i, ids in enumerate(ROWS):
        assert torch.equal(told[i], last(rows, ids))
    rows.expand(1, 2)
    expected = [*ROWS, ROWS[1], ROWS[1]]
    told = rows.decode([[20 + i, 30 + i] for i in range(5)])
    expected = [[*ids, 20 + i, 30 + i] for i, ids in enumerate(expected)]
    for i, ids in enumerate(expected):
        assert torch.equal(told[i, 0], last(rows, ids[:-1]))
        assert torch.equal(told[i, 1], last(rows, ids))
    rows.free(0)  # the last row takes its number
    expected = [expected[-1], *expected[1:-1]]
    assert rows.truncate(2, 4)
    expected[2] = expected[2][:4]
    told = rows.decode([[40 + i] for i in range(4)])
    for i, ids in enumerate(expected):
        assert torch.equal(told[i, 0], last(rows, [*ids, 40 + i]))
    expected = [[*ids, 40 + i] for i, ids in enumerate(expected)]
    more = [50, 51, 52, 53]
    told = rows.decode([more for _ in expected])
    for i, ids in enumerate(expected):
        assert torch.equal(told[i, -1], last(rows, [*ids, *more]))
    assert rows.lengths == [len(ids) + len(more) for ids in expected]
    grown = [(n, columns) for n, columns in fake.contexts_made if n > 1]
    assert grown == [(5, 8), (5, 16)]


def test_every_position_of_one_text_is_told(fake: FakeLibrary) -> None:
    ids = torch.tensor([ROWS[2]])
    with torch.inference_mode():
        expected = fake.model(ids).logits
    torch.testing.assert_close(LlamaModel("tiny.gguf", gpu=False)(ids).logits, expected)


def test_a_file_that_llama_cpp_refuses_is_an_error(fake: FakeLibrary) -> None:
    with pytest.raises(ModelError, match=r"llama\.cpp cannot load it"):
        LlamaModel("bad.gguf", gpu=False)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"adapter": "x"}, "--adapter"),
        ({"load_in": "8bit"}, "--load-in"),
        ({"dtype": "bfloat16"}, "--dtype bfloat16"),
        ({"draft_model": "x"}, "--draft-model"),
    ],
)
def test_what_it_does_not_take_is_told(more: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        open_engine("llama-cpp", options("bundled", **more))


def test_without_the_library_and_without_a_gguf_file(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    for spec, error, told in ((None, RunError, "not installed"), (True, ModelError, "GGUF")):
        told_of = {"llama_cpp": spec}
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda n, *a, t=told_of: t[n] if n in t else found(n, *a)
        )
        with pytest.raises(error, match=told) as caught:
            open_engine("llama-cpp", options("bundled"))
        assert isinstance(caught.value, HfcliError)
        assert caught.value.hint


@pytest.mark.skipif(not INSTALLED, reason="llama-cpp-python is not installed")
@pytest.mark.parametrize("decoding", [SamplingParams(), SamplingParams(temperature=0.9)])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_an_unquantized_file_gives_the_texts_of_transformers(
    gguf: Path, decoding: SamplingParams, batch_size: int
) -> None:
    engines = {
        name: open_engine(name, options(gguf, batch_size=batch_size))
        for name in ("transformers", "llama-cpp")
    }
    found = {}
    for name, engine in engines.items():
        assert isinstance(engine, TransformersEngine)
        found[name] = texts(engine, requests_for(engine, decoding))
    assert len(found["llama-cpp"]) == 6
    assert found["llama-cpp"] == found["transformers"]


@pytest.mark.skipif(not INSTALLED, reason="llama-cpp-python is not installed")
def test_one_prompt_logprobs_lookup_and_chat(gguf: Path) -> None:
    def told(engine: str, **more: Any) -> Any:
        (result,) = generate(
            prompt="The harbour was quiet",
            choice=ModelChoice(str(gguf), device="cpu"),
            settings=GenerationSettings(max_new_tokens=12, do_sample=False),
            options=TextOptions(logprobs=2),
            seed=0,
            listener=lambda _: None,
            engine=engine,
            **more,
        )
        return result

    theirs, ours = told("transformers"), told("llama-cpp")
    assert (ours.text, ours.finish_reason) == (theirs.text, theirs.finish_reason)
    for a, b in zip(ours.logprobs, theirs.logprobs, strict=True):
        assert a["id"] == b["id"]
        assert a["logprob"] == pytest.approx(b["logprob"], abs=2e-3)
    assert told("llama-cpp", prompt_lookup=True).text == ours.text
    conversation = open_conversation(
        choice=ModelChoice(str(gguf), device="cpu"),
        settings=GenerationSettings(max_new_tokens=4, do_sample=False),
        system=None,
        chat_template=False,
        seed=0,
        listener=lambda _: None,
        engine="llama-cpp",
    )
    conversation.say("The lamp", lambda _: None)
    assert conversation.say("The boats", lambda _: None).n_kept > 0
