"""What a model is, by the content of its files."""

from __future__ import annotations

import hashlib

from hfcli.models.load import LoadedModel

SUFFIXES = {".safetensors", ".json", ".jinja", ".model", ".txt", ".bin"}
NOT_OF_THE_MODEL = {"result.json", "run.json"}


def weights_fingerprint(loaded: LoadedModel) -> str:
    """SHA-256 over the names and contents of weights, configuration and tokenizer."""
    source = loaded.source
    files = [source.folder / source.gguf_file] if source.gguf_file else []
    files = files or sorted(p for p in source.folder.iterdir() if p.suffix in SUFFIXES)
    digest = hashlib.sha256()
    for path in files:
        if path.is_file() and path.name not in NOT_OF_THE_MODEL:
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
