"""Beam search that runs out of memory ends in one line, with the exit code of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, GPT2Config

from hfcli.errors import RunError
from hfcli.generation.beams import beam_search

ERRORS = [
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_memory_that_runs_out_is_an_error_of_the_run(error: BaseException) -> None:
    def generate(**_: Any) -> None:
        raise error

    with pytest.raises(RunError, match="1,000 beams: out of memory"):
        search(generate, beams=1_000, width=8)


def test_beams_that_cannot_fit_are_refused_before_the_search() -> None:
    """The system ends a process that takes all memory, and no error is seen."""

    def generate(**_: Any) -> None:
        raise AssertionError("the search was begun")

    with pytest.raises(RunError, match="10,000 beams needs about"):
        search(generate, beams=10_000, width=1 << 20)


def search(generate: Any, *, beams: int, width: int) -> None:
    """Beam search with a stand-in for a model whose keys have so many numbers."""
    config = GPT2Config(n_layer=2, n_head=1, n_embd=width, vocab_size=300)
    model = SimpleNamespace(
        device=torch.device("cpu"), dtype=torch.float32, generate=generate, name_or_path="m",
        config=config,
    )  # fmt: skip
    request: Any = SimpleNamespace(ids=[1, 2], max_new_tokens=2, stops=(), seed=0)
    loaded: Any = SimpleNamespace(model=model, tokenizer=None)
    beam_search(loaded, [request], GenerationConfig(num_beams=beams), None)
