"""The translation to vLLM's arguments, which needs no vLLM; the engine itself where it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hfcli.errors import RecipeError, RunError
from hfcli.generation.engines import open_engine
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.vllm import engine_arguments, sampling_arguments, to_finished
from hfcli.generation.loading import ModelChoice
from hfcli.generation.request import Request
from hfcli.generation.sampling import SamplingParams
from hfcli.models.resolve import resolve_model

REQUEST = Request(
    number=3,
    ids=(1, 2),
    seed=7,
    decoding=SamplingParams(temperature=0.8, top_k=40, top_p=0.9, min_p=0.05),
    max_new_tokens=12,
    eos=frozenset({0, 5}),
    stops=("END",),
    logprobs=2,
)


def options(**choice: Any) -> EngineOptions:
    return EngineOptions(choice=ModelChoice(name="bundled", **choice), listener=print)


def test_every_setting_arrives_under_vllms_name() -> None:
    from transformers.generation.logits_process import (
        NoRepeatNGramLogitsProcessor,
        RepetitionPenaltyLogitsProcessor,
    )

    assert sampling_arguments(REQUEST) == {
        "n": 1, "temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.05,
        "repetition_penalty": 1.0, "max_tokens": 12, "seed": 7, "stop": ["END"],
        "stop_token_ids": [0, 5], "logprobs": 2, "skip_special_tokens": True,
    }  # fmt: skip
    penalty = RepetitionPenaltyLogitsProcessor(1.2)
    ruled = Request(1, (1,), 0, SamplingParams(), 5, processors=[penalty])
    assert sampling_arguments(ruled)["repetition_penalty"] == 1.2
    assert sampling_arguments(ruled)["temperature"] == 0.0
    other = Request(1, (1,), 0, SamplingParams(), 5, processors=[NoRepeatNGramLogitsProcessor(2)])
    with pytest.raises(RecipeError, match="NoRepeatNGram"):
        sampling_arguments(other)


def test_what_vllm_does_not_take_is_told() -> None:
    source = resolve_model("bundled")
    arguments = engine_arguments(source, options(dtype="bfloat16"))
    assert arguments["model"] == str(source.folder)
    assert arguments["dtype"] == "bfloat16"
    assert arguments["trust_remote_code"] is False
    for choice in ({"adapter": "x"}, {"load_in": "8bit"}, {"device": "cpu"}):
        with pytest.raises(RecipeError, match="does not take"):
            engine_arguments(source, options(**choice))


def test_answers_become_the_same_records() -> None:
    found = {4: SimpleNamespace(decoded_token="a", logprob=-0.5)}
    answer = SimpleNamespace(
        token_ids=[4], text="a", finish_reason="stop", stop_reason="END", logprobs=[found]
    )
    finished = to_finished(REQUEST, answer)
    assert finished.finish_reason == "stop_string"
    assert finished.ids == (4,)
    assert finished.logprobs == [
        {
            "token": "a", "id": 4, "logprob": -0.5,
            "top": [{"token": "a", "id": 4, "logprob": -0.5}],
        }
    ]  # fmt: skip
    answer.stop_reason = None
    assert to_finished(REQUEST, answer).finish_reason == "stop"
    answer.finish_reason = "length"
    assert to_finished(REQUEST, answer).finish_reason == "length"


def test_a_stop_string_that_is_a_special_token_is_given_as_its_id() -> None:
    special = {0: "<eos>", 7: "<|END|>", 8: "<pad>"}
    assert sampling_arguments(REQUEST, special)["stop_token_ids"] == [0, 5, 7]
    answer = SimpleNamespace(
        token_ids=[4, 7], text="a", finish_reason="stop", stop_reason=7, logprobs=None
    )
    assert to_finished(REQUEST, answer, special).finish_reason == "stop_string"
    answer.stop_reason = 5
    assert to_finished(REQUEST, answer, special).finish_reason == "stop"


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_without_vllm_the_error_names_the_install_command() -> None:
    with pytest.raises(RunError) as caught:
        open_engine("vllm", options())
    assert caught.value.hint == "pip install 'hfcli[vllm]'"


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed")
def test_both_engines_write_the_same_greedy_text(tiny_gpt2_long: Path) -> None:
    texts = []
    for name in ("transformers", "vllm"):
        choice = ModelChoice(name=str(tiny_gpt2_long), dtype="float32")
        engine = open_engine(name, EngineOptions(choice=choice, listener=print))
        ids = tuple(engine.loaded.tokenizer("The lamp")["input_ids"])
        (finished,) = engine.run([Request(0, ids, 0, SamplingParams(), 8)])
        texts.append(finished.text)
    assert texts[0] == texts[1]
