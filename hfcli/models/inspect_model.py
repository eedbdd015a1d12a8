"""A model's name -> what its small files say: context, width, how it counts tokens.

Loads no weights and opens no socket: a Hub model that is not in the cache stays unknown, and its
tokens are estimated with the bundled model's tokenizer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

from hfcli.errors import ModelError
from hfcli.foreign import foreign_errors
from hfcli.models.json_file import read_object
from hfcli.models.resolve import BUNDLED_FOLDER, resolve_model
from hfcli.recipe.schema import BUNDLED
from hfcli.recipe.starting_points import ModelFacts

CONTEXT_KEYS = ("n_positions", "max_position_embeddings", "n_ctx")
WIDTH_KEYS = ("hidden_size", "n_embd", "d_model", "dim")


def inspect_model(name: str) -> ModelFacts:
    """Look at a model without loading it.

    Raises:
        ModelError: a local path that is no model.
    """
    is_local = name != BUNDLED and os.path.exists(os.path.expanduser(name))
    try:
        source = resolve_model(name, offline=True)
    except ModelError:
        if is_local or name.startswith((".", "/", "~")):
            raise
        return _facts(name, is_local, BUNDLED_FOLDER, {})
    base = source.adapter_base()
    if base is not None:
        return replace(inspect_model(base), name=name, is_local=is_local)
    config = {} if source.gguf_file else _json(source.folder / "config.json")
    return _facts(name, is_local, source.folder, config)


def _facts(name: str, is_local: bool, folder: Path, config: dict[str, Any]) -> ModelFacts:
    own = bool(config) and (folder / "tokenizer.json").is_file()
    tokenizer = folder if own else BUNDLED_FOLDER
    settings = _json(folder / "tokenizer_config.json") if own else {}
    limits = [config.get(key) for key in CONTEXT_KEYS] + [settings.get("model_max_length")]
    whole = [limit for limit in limits if _is_count(limit)]
    widths = [config[key] for key in WIDTH_KEYS if _is_count(config.get(key))]
    return ModelFacts(
        name=name,
        is_local=is_local,
        context=min(whole) if whole and config else None,
        width=widths[0] if widths else None,
        tokenizer=name if own else BUNDLED,
        count_tokens=lambda texts: _count(tokenizer / "tokenizer.json", texts),
    )


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _count(file: Path, texts: Sequence[str]) -> list[int]:
    from tokenizers import Tokenizer

    with foreign_errors(ModelError, f"{file}: no usable tokenizer"):
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
    return [len(encoded.ids) for encoded in tokenizer.encode_batch_fast(list(texts))]


def _json(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}
