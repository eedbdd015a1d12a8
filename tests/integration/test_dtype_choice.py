"""`auto` on a CPU: bfloat16 for one text where it wins, float32 wherever texts must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.device import computes_bf16
from hfcli.fast import bfloat16
from hfcli.generation import loading
from hfcli.generation.loading import ModelChoice, load_for_generation
from hfcli.generation.run import TextOptions, generate
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import Choice

CPU = torch.device("cpu")


@pytest.fixture
def wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "bfloat16_wins", lambda _bytes: (True, "it won"))


@pytest.mark.usefixtures("wins")
@pytest.mark.parametrize(
    ("one_stream", "choice", "expected"),
    [
        (True, {}, torch.bfloat16),
        (False, {}, torch.float32),
        (True, {"dtype": "float32"}, torch.float32),
        (True, {"without": frozenset({"bfloat16"})}, torch.float32),
    ],
)
def test_only_one_text_alone_is_written_in_bfloat16(
    tiny_gpt2: Path, one_stream: bool, choice: dict[str, Any], expected: torch.dtype
) -> None:
    told: list[str] = []

    def listen(event: Any) -> None:
        assert isinstance(event, Choice)
        told.append(event.text)

    chosen = ModelChoice(str(tiny_gpt2), device="cpu", **choice)
    loaded = load_for_generation(chosen, listen, one_stream=one_stream)
    assert loaded.model.dtype == expected
    assert bool(told) == ("dtype" not in choice), "what the user chose need not be told"


@pytest.mark.usefixtures("wins")
@pytest.mark.parametrize(
    ("options", "guess", "expected"),
    [
        ({}, {}, "bfloat16"),
        ({"num_samples": 2}, {}, "float32"),
        ({"logprobs": 1}, {}, "float32"),
        ({}, {"prompt_lookup": True}, "float32"),
        ({}, {"draft_model": ""}, "float32"),
    ],
)
def test_what_promises_equal_texts_stays_in_float32(
    tiny_gpt2: Path, options: dict[str, Any], guess: dict[str, Any], expected: str
) -> None:
    told: list[str] = []
    if "draft_model" in guess:
        guess = {"draft_model": str(tiny_gpt2)}
    generate(
        prompt="The harbour",
        choice=ModelChoice(str(tiny_gpt2), device="cpu"),
        settings=GenerationSettings(max_new_tokens=3, do_sample=False),
        options=TextOptions(**options),
        seed=0,
        listener=lambda event: told.append(event.text) if isinstance(event, Choice) else None,
        **guess,
    )
    assert told[0].startswith(f"{expected}: ")


@pytest.mark.parametrize("name", ["fused-decoder", "speculative-decoding"])
@pytest.mark.parametrize("off", [False, True], ids=["on", "off"])
def test_what_makes_one_text_faster_is_told_unless_it_is_off(
    tiny_gpt2: Path, name: str, off: bool
) -> None:
    told: list[str] = []
    without = frozenset({name} if off else ())
    generate(
        prompt="The harbour",
        choice=ModelChoice(str(tiny_gpt2), device="cpu", without=without),
        settings=GenerationSettings(max_new_tokens=3, do_sample=False),
        options=TextOptions(),
        seed=0,
        listener=lambda event: told.append(event.text) if isinstance(event, Choice) else None,
    )
    assert any(line.startswith(f"{name}: ") for line in told) != off


def test_the_probe_runs_once_on_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path))
    monkeypatch.setattr(bfloat16, "computes_bf16", lambda _device: True)
    probed: list[torch.dtype] = []

    def seconds(dtype: torch.dtype) -> float:
        probed.append(dtype)
        return 3.0 if dtype == torch.float32 else 2.0

    monkeypatch.setattr(bfloat16, "_seconds", seconds)
    assert bfloat16.bfloat16_wins(bfloat16.LARGE) == bfloat16.bfloat16_wins(bfloat16.LARGE)
    assert bfloat16.bfloat16_wins(bfloat16.LARGE)[0]
    assert probed == [torch.float32, torch.bfloat16]
    assert not bfloat16.bfloat16_wins(bfloat16.LARGE - 1)[0], "small models are not worth it"


def test_the_probe_measures_both_types() -> None:
    assert bfloat16._seconds(torch.float32) > 0
    if computes_bf16(CPU):
        assert bfloat16._seconds(torch.bfloat16) > 0
