"""Engines: what turns requests into texts. One file each, named in the table below."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from hfcli.errors import RecipeError, did_you_mean
from hfcli.fast import garbage
from hfcli.generation.engines.base import Engine, EngineOptions

ENGINES = {
    "transformers": "hfcli.generation.engines.transformers",
    "llama-cpp": "hfcli.generation.engines.llama_cpp",
    "vllm": "hfcli.generation.engines.vllm",
}


def open_engine(name: str, options: EngineOptions) -> Engine:
    """Load the model into an engine.

    Raises:
        RecipeError: no such engine.
        ModelError, RunError: see the engine's own `open_engine`.
    """
    if name not in ENGINES:
        near = did_you_mean(name, ENGINES)
        raise RecipeError(
            f"unknown engine {name!r}",
            hint=f"did you mean {near}?" if near else f"known: {', '.join(ENGINES)}",
        )
    opener: Callable[[EngineOptions], Engine] = import_module(ENGINES[name]).open_engine
    engine = opener(options)
    garbage.seek()
    return engine
