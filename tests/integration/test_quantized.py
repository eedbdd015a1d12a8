"""--load-in, by bitsandbytes on the CPU."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.errors import ModelError, RunError
from hfcli.generation.loading import ModelChoice, load_for_generation
from tests.helpers import hfcli


def ignore(event: Any) -> None:
    pass


def next_probabilities(name: str, load_in: str | None) -> torch.Tensor:
    loaded = load_for_generation(ModelChoice(name, device="cpu", load_in=load_in), ignore)
    ids = loaded.tokenizer("The harbour was quiet in the", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return torch.softmax(loaded.model(input_ids=ids).logits[0].float(), -1)


@pytest.mark.parametrize(("load_in", "off"), [("8bit", 0.02), ("4bit", 0.1)])
def test_a_quantized_model_is_nearly_the_model(load_in: str, off: float) -> None:
    """Total variation distance of the next-token distributions, mean over positions."""
    exact, quantized = next_probabilities("bundled", None), next_probabilities("bundled", load_in)
    distance = float((exact - quantized).abs().sum(-1).mean() / 2)
    assert 0 < distance < off


def test_rows_that_4bit_cannot_split_are_told_before_the_first_token(tiny_gpt2: Path) -> None:
    with pytest.raises(ModelError, match="takes blocks of 64 numbers") as caught:
        load_for_generation(ModelChoice(str(tiny_gpt2), device="cpu", load_in="4bit"), ignore)
    assert caught.value.hint == "--load-in 8bit"


def test_without_its_library_the_install_command_is_told(
    tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "bitsandbytes" else found(n, *a)
    )
    with pytest.raises(RunError, match="needs bitsandbytes") as caught:
        load_for_generation(ModelChoice(str(tiny_gpt2), device="cpu", load_in="8bit"), ignore)
    assert "hfcli[quantized]" in (caught.value.hint or "")


def test_the_library_does_not_talk_into_the_answer() -> None:
    done = hfcli(
        "generate", "Once", "--model", "bundled", "--load-in", "8bit", "--max-new-tokens", "4"
    )
    assert done.returncode == 0, done.stderr
    assert "MatMul8bitLt" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert hfcli("generate", "x", "--model", "bundled", "--load-in", "3bit").returncode == 2
