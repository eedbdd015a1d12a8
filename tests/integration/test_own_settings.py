"""The model's own generation settings are used as they are, and flags go before them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.device import Placement
from hfcli.generation.chat import Conversation
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import RequestMaker, TextOptions, continue_text
from hfcli.generation.settings import decoding, effective_settings, generation_config, processors
from hfcli.models.load import LoadedModel, load_model
from hfcli.models.resolve import resolve_model
from hfcli.recipe.sections import GenerationSettings
from hfcli.tasks.text_generation import TextGeneration

SAMPLES: dict[str, Any] = {"do_sample": True}
# Values that equal transformers' old defaults are among them.
OWN: list[dict[str, Any]] = [
    {**SAMPLES, "temperature": 1.0, "top_k": 64, "top_p": 0.95},
    {**SAMPLES, "temperature": 1.0},
    {**SAMPLES, "temperature": 0.3, "top_k": 50, "top_p": 1.0},
    {**SAMPLES, "temperature": 2.5, "min_p": 0.1},
    {**SAMPLES, "top_k": 0, "temperature": 0.7},
    {"temperature": 1.0},
    {"do_sample": False},
    {"do_sample": False, "num_beams": 3},
    {"max_new_tokens": 20},
    {"max_new_tokens": 1, "repetition_penalty": 1.0},
    {"repetition_penalty": 1.3},
    {"num_beams": 1, **SAMPLES, "temperature": 1.0},
]
PROCESSED: list[dict[str, Any]] = [
    {"no_repeat_ngram_size": 2},
    {"bad_words_ids": [[5], [6, 7]]},
    {"min_new_tokens": 5},
    {"min_length": 12},
    {"suppress_tokens": [3, 4]},
    {"eos_token_id": [5, 6, 7]},
    {"repetition_penalty": 1.7},
]


def load(source: Path, folder: Path, own: dict[str, Any]) -> LoadedModel:
    """The model with these settings in its generation_config.json."""
    shutil.copytree(source, folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 0, **own}))
    return load_model(
        source=resolve_model(str(folder)), task=TextGeneration(), dtype=torch.float32,
        placement=Placement(torch.device("cpu")),
    )  # fmt: skip


def texts(loaded: LoadedModel, prompt: str = "The harbour", **options: Any) -> list[Any]:
    settings = GenerationSettings(**options.pop("settings", {}))
    return continue_text(
        engine=TransformersEngine(
            loaded, EngineOptions(choice=ModelChoice(), listener=lambda event: None)
        ),
        prompt=prompt, settings=settings, options=TextOptions(**options), seed=0,
        listener=lambda event: None,
    )  # fmt: skip


@pytest.mark.parametrize("own", OWN, ids=str)
def test_what_the_model_says_is_used_and_recorded(
    own: dict[str, Any], tiny_gpt2: Path, tmp_path: Path
) -> None:
    loaded = load(tiny_gpt2, tmp_path / "m", own)
    config = generation_config(settings=GenerationSettings(), loaded=loaded)
    shown = effective_settings(config)
    assert {name: shown[name] for name in own} == own
    how = decoding(config)
    if shown["do_sample"]:
        used = {"temperature": how.temperature, "top_k": how.top_k, "top_p": how.top_p}
        assert used == used | {name: own[name] for name in used if name in own}
    else:
        assert how.temperature == 0
    (result, *_) = texts(loaded)
    assert {name: result.settings[name] for name in own} == own


@pytest.mark.parametrize("own", PROCESSED, ids=str)
def test_a_greedy_text_is_that_of_generate_with_the_same_file(
    own: dict[str, Any], tiny_gpt2: Path, tmp_path: Path
) -> None:
    loaded = load(tiny_gpt2, tmp_path / "m", {"do_sample": False, "max_new_tokens": 16, **own})
    model: Any = loaded.model
    ids = loaded.tokenizer("The harbour was", return_tensors="pt")["input_ids"]
    output = model.generate(ids, attention_mask=torch.ones_like(ids))[0, ids.shape[1] :]
    expected = loaded.tokenizer.decode(output, skip_special_tokens=True)
    (result,) = texts(loaded, "The harbour was")
    assert result.text == expected
    assert result.n_new_tokens == len(output)


def test_hfcli_has_defaults_only_where_the_model_says_nothing(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    """A file that says how to sample, and leaves the temperature out, means transformers' 1.0."""
    cases: list[tuple[dict[str, Any], float]]
    cases = [({}, 0.7), ({"do_sample": True}, 0.7), ({"do_sample": True, "top_p": 0.9}, 1.0)]
    for i, (own, temperature) in enumerate(cases):
        loaded = load(tiny_gpt2, tmp_path / str(i), own)
        config = generation_config(settings=GenerationSettings(), loaded=loaded)
        assert (config.temperature, config.top_k) == (temperature, 50)
        assert config.max_new_tokens == 128
        chat = Conversation(loaded=loaded, settings=GenerationSettings(), chat_template=False)
        assert chat.maker.config.max_new_tokens == 512
    loaded = load(tiny_gpt2, tmp_path / "own", {"max_new_tokens": 9})
    chat = Conversation(loaded=loaded, settings=GenerationSettings(), chat_template=False)
    assert chat.maker.config.max_new_tokens == 9


@pytest.mark.parametrize("own", OWN, ids=str)
def test_flags_go_before_what_the_model_says(
    own: dict[str, Any], tiny_gpt2: Path, tmp_path: Path
) -> None:
    loaded = load(tiny_gpt2, tmp_path / "m", own)
    flags: dict[str, Any] = {
        "do_sample": True, "temperature": 0.9, "top_k": 7, "top_p": 0.8, "min_p": 0.2,
        "max_new_tokens": 3, "repetition_penalty": 1.1, "num_beams": 1,
    }  # fmt: skip
    config = generation_config(settings=GenerationSettings(**flags), loaded=loaded)
    assert effective_settings(config) == flags
    greedy = generation_config(settings=GenerationSettings(temperature=0), loaded=loaded)
    assert decoding(greedy).temperature == 0


@pytest.mark.parametrize(
    ("own", "flags"),
    [
        ({}, {"top_p": 0}),
        ({}, {"temperature": 0}),
        ({"do_sample": True, "top_p": 0.0}, {}),
        ({"do_sample": True, "temperature": 0.0}, {}),
        ({"num_beams": 1, "do_sample": True, "temperature": 1.5}, {"top_p": 0}),
    ],
)
def test_zero_is_greedy(
    own: dict[str, Any], flags: dict[str, Any], tiny_gpt2: Path, tmp_path: Path
) -> None:
    loaded = load(tiny_gpt2, tmp_path / "m", {**own, "max_new_tokens": 12})
    (greedy,) = texts(loaded, settings={"do_sample": False})
    (zero,) = texts(loaded, settings=flags)
    assert zero.text == greedy.text


def test_stop_strings_of_the_model_stop_and_flags_go_before_them(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    whole = load(tiny_gpt2, tmp_path / "a", {"do_sample": False, "max_new_tokens": 16})
    (long,) = texts(whole)
    stop, other = long.text[5:7], long.text[9:11]
    loaded = load(
        tiny_gpt2, tmp_path / "b",
        {"do_sample": False, "max_new_tokens": 16, "stop_strings": [stop]},
    )  # fmt: skip
    (short,) = texts(loaded)
    assert short.text == long.text[: long.text.index(stop)]
    assert (short.finish_reason, short.settings["stop"]) == ("stop_string", [stop])
    (given,) = texts(loaded, stops=(other,))
    assert given.text == long.text[: long.text.index(other)]


def test_beams_stop_at_strings_and_give_as_many_texts_as_generate(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    loaded = load(tiny_gpt2, tmp_path / "m", {"max_new_tokens": 12})
    beams = {"num_beams": 4}
    many = texts(loaded, settings=beams, num_samples=3)
    model: Any = loaded.model
    ids = loaded.tokenizer("The harbour", return_tensors="pt")["input_ids"]
    output = model.generate(
        ids, attention_mask=torch.ones_like(ids), num_beams=4, num_return_sequences=3,
        do_sample=False, max_new_tokens=12, pad_token_id=0,
    )[:, ids.shape[1] :]  # fmt: skip
    expected = loaded.tokenizer.batch_decode(output, skip_special_tokens=True)
    assert [one.text for one in many] == expected
    assert len(set(expected)) == 3
    stop = expected[0][4:6]
    for one in texts(loaded, settings=beams, num_samples=2, stops=(stop,)):
        assert stop not in one.text
    (first,) = texts(loaded, settings=beams, stops=(stop,))
    assert first.finish_reason in ("stop_string", "length", "stop")


def test_special_tokens_that_are_stop_strings_end_texts_of_every_engine_path(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    """A token that the model writes is made special: it is in no text, and stops it."""
    loaded = load(tiny_gpt2, tmp_path / "m", {"do_sample": False, "max_new_tokens": 16})
    (plain,) = texts(loaded)
    maker = RequestMaker(loaded, GenerationSettings(), TextOptions())
    ids = tuple(loaded.tokenizer("The harbour")["input_ids"])
    written = next(iter(TransformersEngine(
        loaded, EngineOptions(choice=ModelChoice(), listener=lambda event: None)
    ).run([maker.make(0, ids, 0)]))).ids  # fmt: skip
    at = next(i for i in range(3, 16) if written[i] not in written[:i])
    name = str(loaded.tokenizer.convert_ids_to_tokens(written[at]))
    tokenizer: Any = loaded.tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": [name]})
    assert len(tokenizer) == len(loaded.tokenizer)
    expected = tokenizer.decode(written[:at], skip_special_tokens=True)
    assert plain.text.startswith(expected)
    for settings in ({}, {"num_beams": 1}):
        (stopped,) = texts(loaded, settings=settings, stops=(name,))
        assert (stopped.text, stopped.finish_reason) == (expected, "stop_string")
        assert stopped.n_new_tokens == at + 1
    for result in texts(loaded, stops=(name,), num_samples=3):
        assert result.text == expected
    talk = Conversation(
        loaded=loaded, settings=GenerationSettings(), chat_template=False, stops=(name,)
    )
    assert name not in talk.say("The harbour", lambda piece: None).text
    assert not processors(maker.config, 3)
