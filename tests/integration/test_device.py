"""Placement: accelerate decides, and what is absent is said with what is there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hfcli.device import (
    Placement,
    available_devices,
    computes_bf16,
    out_of_memory,
    resolve_device,
    resolve_dtype,
)
from hfcli.errors import RunError
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import TextOptions, continue_text
from hfcli.models.load import load_model
from hfcli.models.resolve import resolve_model
from hfcli.recipe.sections import GenerationSettings
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
    monkeypatch.setattr("hfcli.device.free_host_memory", lambda: 0)
    assert text() == whole


def test_float32_on_a_cpu_unless_asked_otherwise() -> None:
    assert resolve_dtype("auto", CPU) is torch.float32
    assert resolve_dtype("bfloat16", CPU) is torch.bfloat16


@pytest.mark.parametrize("told_by", ["torch", "linux"])
@pytest.mark.parametrize(
    ("features", "expected"),
    [("avx2 avx512_bw avx512_vnni", False), ("avx512_bw avx512_bf16", True), ("amx_bf16", True)],
)
def test_a_cpu_that_only_emulates_bfloat16_trains_in_float32(
    features: str, told_by: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With AVX-512 alone, torch itself says that it takes bfloat16."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    if told_by == "torch":
        told = {**dict.fromkeys(features.split(), True), "amx_tile": False, "num_sockets": 1}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    else:
        (tmp_path / "cpuinfo").write_text(f"model name\t: x\nflags\t\t: fpu {features}\n")
        monkeypatch.setattr("hfcli.device.CPUINFO", tmp_path / "cpuinfo")
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert computes_bf16(CPU) is expected
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not computes_bf16(CPU)


@pytest.mark.parametrize(
    ("major", "expected"),
    [(7, torch.float16), (6, torch.float16), (8, torch.bfloat16), (9, torch.bfloat16)],
)
def test_a_gpu_that_only_emulates_bfloat16_gets_float16(
    major: int, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T4 and V100 are of compute capability 7; torch itself says that they take bfloat16."""
    from types import SimpleNamespace

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _device: SimpleNamespace(major=major)
    )
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda _device: True)
    cuda = torch.device("cuda")
    assert torch.cuda.is_bf16_supported() is True, "by emulation, at least"
    assert resolve_dtype("auto", cuda) is expected
    assert computes_bf16(cuda) is (expected is torch.bfloat16)  # what training.bf16: auto is


OUT_OF_MEMORY: list[Exception] = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB, other allocations: 1.2 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate"
                 " memory: you tried to allocate 400000000000 bytes."),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4294967296 bytes."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("XPU out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"),
    RuntimeError("std::bad_alloc"),
    OSError(12, "Cannot allocate memory"),
    OSError(1455, "The paging file is too small for this operation to complete"),
]  # fmt: skip


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: str(e)[:40] or "MemoryError")
def test_every_way_to_be_out_of_memory_while_loading_is_a_run_error(
    error: Exception, tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import GPT2LMHeadModel

    assert out_of_memory(error)

    def fail(*_args: object, **_options: object) -> None:
        raise error

    def load() -> object:
        return load_model(
            source=resolve_model(str(tiny_gpt2)), task=TextGeneration(), dtype=torch.float32,
            placement=Placement(CPU),
        )  # fmt: skip

    for place in ("__init__", "to"):  # while it is made, and while it is moved to the device
        with monkeypatch.context() as patch:
            patch.setattr(GPT2LMHeadModel, place, fail)
            with pytest.raises(RunError, match="out of memory"):
                load()


@pytest.mark.parametrize(
    "error",
    [RuntimeError("size mismatch for wte"), ValueError("out of memory"), OSError("no file")],
)
def test_other_errors_are_not_out_of_memory(error: Exception) -> None:
    assert not out_of_memory(error)
