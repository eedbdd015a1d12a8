"""What a model is, by the content of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hfcli.models.adapter import resolve_chain
from hfcli.models.resolve import ModelSource

SUFFIXES = {".safetensors", ".json", ".jinja", ".model", ".txt", ".bin", ".py"}
NOT_OF_THE_MODEL = {"result.json", "run.json"}


def weights_fingerprint(*sources: ModelSource) -> str:
    """SHA-256 over the names and contents of weights, configurations and tokenizers."""
    digest = hashlib.sha256()
    for source in sources:
        files = [source.folder / source.gguf_file] if source.gguf_file else []
        for path in files or sorted(p for p in source.folder.iterdir() if p.suffix in SUFFIXES):
            if path.is_file() and path.name not in NOT_OF_THE_MODEL:
                digest.update(path.name.encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


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
