"""What a model is, by the content of its files."""

from __future__ import annotations

import hashlib

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
