"""What a model is, by the content of its files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hfcli.models.adapter import resolve_chain
from hfcli.models.resolve import ModelSource
from hfcli.runfolder.kinds import MODEL_FILES

# What transformers and peft read of a folder: notes and results beside the weights are not of it.
OF_THE_MODEL = re.compile(
    rf"{MODEL_FILES}|(pytorch_model|adapter_model).*\.bin(\.index\.json)?|.+\.tiktoken|tekken\.json"
)
NOT_OF_THE_MODEL = "training_args.bin"
CODE = '"auto_map"'  # in a configuration: the folder's Python files are part of the model


def weights_fingerprint(*sources: ModelSource) -> str:
    """SHA-256 over the names and contents of weights, configurations and tokenizers."""
    digest = hashlib.sha256()
    for source in sources:
        for path in _files(source):
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _files(source: ModelSource) -> list[Path]:
    """The files that decide what the model computes, in one order."""
    if source.gguf_file:
        return [source.folder / source.gguf_file]
    with_code = any(
        path.is_file() and CODE in path.read_text(encoding="utf-8", errors="replace")
        for path in (source.folder / "config.json", source.folder / "tokenizer_config.json")
    )
    return sorted(
        path
        for path in source.folder.iterdir()
        if path.is_file()
        and path.name != NOT_OF_THE_MODEL
        and (OF_THE_MODEL.fullmatch(path.name) or (with_code and path.suffix == ".py"))
    )


def begin_fingerprint(source: ModelSource) -> Callable[[], str]:
    """`weights_fingerprint` of a model and, of an adapter, what it is for; begun in a thread.

    Half a gigabyte takes a second, which the import of torch and the loading of the model fill:
    hashing does not hold Python's lock.

    Returns:
        What waits for the fingerprint and gives it.

    Raises:
        ModelError: the base of an adapter cannot be found.
    """
    *adapters, base = resolve_chain(source)
    others = [base, *reversed(adapters)]  # as in LoadedModel.parts
    pool = ThreadPoolExecutor(max_workers=1)
    begun = pool.submit(
        weights_fingerprint, source, *(other for other in others if other is not source)
    )
    pool.shutdown(wait=False)
    return begun.result
