"""Beam search that runs out of memory ends in one line, with the exit code of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

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

    model = SimpleNamespace(device=torch.device("cpu"), generate=generate, name_or_path="m")
    request: Any = SimpleNamespace(ids=[1, 2], max_new_tokens=2, stops=(), seed=0)
    loaded: Any = SimpleNamespace(model=model, tokenizer=None)
    with pytest.raises(RunError, match="1,000 beams: out of memory"):
        beam_search(loaded, [request], GenerationConfig(num_beams=1000), None)
