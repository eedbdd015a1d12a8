"""Engines: what turns requests into texts. One file each, named in the table below.

Other packages add engines by entry points (`hfcli.plugins`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from hfcli import plugins
from hfcli.errors import RecipeError, did_you_mean
from hfcli.fast import startup
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
        RunError: the package of an engine cannot be imported.
        ModelError, RunError: see the engine's own `open_engine`.
    """
    engine = _opener(name)(options)
    startup.resume_gc()
    return engine


def _opener(name: str) -> Callable[[EngineOptions], Engine]:
    if name in ENGINES:
        opener: Callable[[EngineOptions], Engine] = import_module(ENGINES[name]).open_engine
        return opener
    known = [*ENGINES, *plugins.names(plugins.ENGINES)]
    if name not in known:
        near = did_you_mean(name, known)
        raise RecipeError(
            f"unknown engine {name!r}",
            hint=f"did you mean {near}?" if near else f"known: {', '.join(known)}",
        )
    opener = plugins.load(plugins.ENGINES, name)
    return opener
