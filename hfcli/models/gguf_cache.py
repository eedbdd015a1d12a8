"""What a GGUF file was converted to, kept for the next start.

transformers dequantizes every tensor and builds the tokenizer token by token: seconds, each time.
The result lies in the cache as an ordinary model folder, under a key of the file's content, the
number type and the versions of what converted it. It is written under another name first, and
where there is no room for it, it is not kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli import cache, files
from hfcli.errors import RunError
from hfcli.faults import environment_errors
from hfcli.models.resolve import ModelSource
from hfcli.tasks.base import Task

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FORMAT = 2  # of what is stored; another one misses
PACKAGES = ("transformers", "tokenizers", "gguf", "torch")
ROOM = 3  # times the size of what is kept, that has to be free


def place(source: ModelSource, task: Task, dtype: torch.dtype) -> Path:
    """Where the conversion of a GGUF file is kept."""
    return _place(source, str(dtype), task.auto_class().__name__)


def tokenizer_place(source: ModelSource) -> Path:
    """Where the tokenizer of a GGUF file is kept, for engines that read the weights themselves."""
    return _place(source, "tokenizer")


def _place(source: ModelSource, *what: str) -> Path:
    assert source.gguf_file is not None
    with (source.folder / source.gguf_file).open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    versions = [metadata.version(name) for name in PACKAGES]
    told = [FORMAT, content, what, versions]
    return (
        cache.cache_folder() / f"gguf-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]}"
    )


def kept(source: ModelSource, folder: Path) -> ModelSource | None:
    """The conversion in `folder` as a model, when it is there and undamaged; using it keeps it."""
    return replace(source, folder=folder, gguf_file=None) if cache.is_sound(folder) else None


def make_plain(model: PreTrainedModel) -> bool:
    """Whether a converted model is one like others, and not held in the file's own blocks.

    transformers unpacks the weights where it has no kernels for them, and leaves its mark on the
    model all the same, with which Trainer refuses it; that is taken off.
    """
    quantizer: Any = getattr(model, "hf_quantizer", None)
    if quantizer is None:
        return True
    if quantizer.supported and not quantizer.quantization_config.dequantize:
        return False
    quantizer.remove_quantization_config(model)
    return True


def keep(folder: Path, model: PreTrainedModel | None, tokenizer: PreTrainedTokenizerBase) -> None:
    """Keep a conversion, whole or not at all."""
    size = sum(p.nbytes for p in model.parameters()) if model is not None else 2**24
    try:
        cache.forget_unused(cache.open_cache())
        with environment_errors(folder):
            if shutil.disk_usage(folder.parent).free < ROOM * size:
                return
            partial = files.create_temporary(folder, folder=True)
        _write(partial, folder, model, tokenizer)
    except RunError as e:
        cache.log.info("the cache is not used: %s", e)


def _write(
    partial: Path,
    folder: Path,
    model: PreTrainedModel | None,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    try:
        with environment_errors(folder):
            if model is not None:
                model.save_pretrained(partial)
                files.share(partial)
            tokenizer.save_pretrained(partial)
        cache.seal(partial)
        cache.put_in_place(partial, folder)
    finally:
        files.remove(partial)
