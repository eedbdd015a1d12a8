"""Placement: accelerate decides, and what is absent is said with what is there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hfcli.device import Placement, available_devices, computes_bf16, resolve_device, resolve_dtype
from hfcli.errors import RunError
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import TextOptions, continue_text
from hfcli.models.load import load_model
from hfcli.models.resolve import resolve_model
from hfcli.recipe.generation import GenerationSettings
from hfcli.tasks.text_generation import TextGeneration

CPU = torch.device("cpu")


def test_auto_takes_the_best_there_is() -> None:
    best = resolve_device("auto")
    assert best.spread
    assert best.device.type == available_devices()[-1].split(":")[0]


@pytest.mark.parametrize("name", ["cuda:99", "mps:7", "gpu", "tpu"])
def test_an_absent_device_lists_what_is_there(name: str) -> None:
    with pytest.raises(RunError, match=f"device '{name}' is not here") as caught:
        resolve_device(name)
    assert caught.value.hint is not None
    assert "cpu" in caught.value.hint


def test_only_what_does_not_fit_is_spread_on_a_cpu() -> None:
    assert Placement(CPU, spread=True).load_options(10**6) == {}
    assert Placement(CPU, spread=True).load_options(10**18) == {"device_map": "auto"}
    assert Placement(CPU).load_options(10**18) == {}


def test_a_spread_model_writes_the_same_text(
    tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def text() -> str:
        loaded = load_model(
            source=resolve_model(str(tiny_gpt2)),
            task=TextGeneration(),
            dtype=torch.float32,
            placement=Placement(CPU, spread=True),
        )
        settings = GenerationSettings(max_new_tokens=8, do_sample=False)
        options = EngineOptions(choice=ModelChoice(), listener=lambda event: None)
        (result,) = continue_text(
            engine=TransformersEngine(loaded, options),
            prompt="Bread",
            settings=settings,
            options=TextOptions(),
            seed=0,
            listener=lambda event: None,
        )
        return result.text

    whole = text()
    monkeypatch.setattr("hfcli.device.free_memory", lambda device: 0)
    assert text() == whole


def test_float32_on_a_cpu_unless_asked_otherwise() -> None:
    assert resolve_dtype("auto", CPU) is torch.float32
    assert resolve_dtype("bfloat16", CPU) is torch.bfloat16
    assert computes_bf16(CPU) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
