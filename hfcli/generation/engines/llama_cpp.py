"""llama.cpp for GGUF files, whose weights stay packed: the optional extra `hfcli[llama-cpp]`.

Everything but the model's arithmetic is the default engine's. That arithmetic depends a little on
the batch, so that equal runs may differ in a token. Knows nothing about files of prompts.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from hfcli.device import resolve_device
from hfcli.errors import ModelError, RecipeError, RunError
from hfcli.fast.portable import ConvertedFiles
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine
from hfcli.generation.llama_rows import LlamaModel
from hfcli.generation.loading import ModelChoice, find_model
from hfcli.models.load import LoadedModel
from hfcli.models.tokenizer import load_gguf_tokenizer, load_tokenizer
from hfcli.origins import as_typed
from hfcli.results import Listener

INSTALL = "pip install 'hfcli[llama-cpp]'"


def open_engine(options: EngineOptions) -> TransformersEngine:
    """Load a GGUF file into llama.cpp.

    Raises:
        RunError: llama.cpp's Python package is not installed.
        RecipeError: an option it does not have.
        ModelError: not a GGUF file, or one that cannot be loaded.
    """
    if options.draft_model is not None:
        raise RecipeError(f"the engine llama-cpp does not take {as_typed('--draft-model')}")
    return TransformersEngine(load_llama(options.choice, options.listener), options)


def load_llama(choice: ModelChoice, listener: Listener) -> LoadedModel:
    """See `open_engine`."""
    _refuse(choice)
    if importlib.util.find_spec("llama_cpp") is None:
        raise RunError("the engine llama-cpp is not installed", hint=INSTALL)
    source = find_model(choice, listener).source
    if source.gguf_file is None:
        raise ModelError(
            f"{source.name}: the engine llama-cpp reads GGUF files only",
            hint="llama.cpp's convert_hf_to_gguf.py makes one of a model folder",
        )
    load = load_gguf_tokenizer if choice.fast(ConvertedFiles.name) else load_tokenizer
    tokenizer = load(source)
    gpu = resolve_device(choice.device).device.type != "cpu"
    model: Any = LlamaModel(str(source.folder / source.gguf_file), gpu=gpu)
    return LoadedModel(model, tokenizer, source)


def _refuse(choice: ModelChoice) -> None:
    dtype = f"{as_typed('--dtype')} {choice.dtype}: its weights stay as the file has them"
    refused = {
        as_typed("--adapter"): choice.adapter is not None,
        as_typed("--load-in"): choice.load_in is not None,
        as_typed("--trust-remote-code"): choice.trust_remote_code,
        dtype: choice.dtype != "auto",
    }
    for flag, given in refused.items():
        if given:
            raise RecipeError(f"the engine llama-cpp does not take {flag}")
