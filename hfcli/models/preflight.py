"""What a model's files say, checked before any of it is allocated or followed.

A configuration can ask for a billion layers, and an index can name any file of the machine. Both
are refused here: sizes by what the weight files hold and the machine has, paths by where they lead.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hfcli.errors import ModelError, RunError
from hfcli.foreign import cut
from hfcli.models.json_file import read_object
from hfcli.models.resolve import ModelSource

HANDS_ON_CALLS = True  # for `hfcli.foreign`: what arises in a call of torch is its caller's fault
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WEIGHT_FILES = ("*.safetensors", "*.bin", "*.gguf")
# Configurations make lists and modules out of these, before any weight is looked at.
COUNTS = re.compile(r"layer|block|expert|stage|depth|labels", re.IGNORECASE)
MOST_LAYERS = 10_000
MOST_LABELS = 1_000_000
# How many numbers a byte of a file can hold (of 1 bit), and what a model may have in no file.
NUMBERS_A_BYTE = 8
NUMBERS_BESIDE = 50_000_000
BUFFERS_BESIDE = 1_000_000_000
TENSORS_BESIDE = 10_000
HEADER_BYTES_A_TENSOR = 40
MADE = {"empty", "zeros", "ones", "full", "rand", "randn", "arange", "tensor", "empty_strided"}


def check_files(source: ModelSource) -> None:
    """Check the configuration, weights and index of a model before a library reads them.

    Raises:
        ModelError: not a JSON object, absurd counts, an index that names other files than
            weights in the model's own folder, or weights that this user may not read.
    """
    if source.gguf_file:
        return
    for path in sorted(source.folder.glob("*.safetensors")):
        # safetensors says "No such file or directory" of a file that it may not open.
        if path.is_file() and not os.access(path, os.R_OK):
            raise ModelError(f"{path}: cannot be read (Permission denied)")
    config = source.folder / "config.json"
    if config.exists() or config.is_symlink():
        _check_counts(config, read_object(config))
    for name in INDEXES:
        path = source.folder / name
        if path.is_file():
            _check_index(path, read_object(path))


def _check_counts(path: Path, config: dict[str, Any]) -> None:
    for key, value in _numbers(config):
        most = MOST_LABELS if "labels" in key else MOST_LAYERS
        if COUNTS.search(key) and abs(value) > most:
            raise ModelError(f"{path}: {cut(key, 60)} is {cut(str(value), 40)}, at most {most:,}")


def _numbers(config: dict[str, Any]) -> Iterator[tuple[str, int | float]]:
    """Keys with numbers, those of nested configurations too."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _numbers(value)
        elif isinstance(value, int | float):
            yield key, value


def _check_index(path: Path, index: dict[str, Any]) -> None:
    shards = index.get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(s, str) for s in shards.values()):
        raise ModelError(f"{path}: weight_map does not map names of weights to names of files")
    if not isinstance(index.get("metadata", {}), dict):
        raise ModelError(f"{path}: metadata is not a JSON object")
    if not shards:
        raise ModelError(f"{path}: weight_map is empty")
    for shard in sorted(set(shards.values())):
        if not _is_inside(path.parent, shard):
            raise ModelError(
                f"{path}: names {cut(shard)!r}, which is not inside the model's folder",
                hint="an index may only name weight files beside it",
            )


def _is_inside(folder: Path, name: str) -> bool:
    """Whether a file named in an index is in its folder, or is a blob of the Hub's cache."""
    if not name or "\x00" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        return False
    try:
        real = (folder / name).resolve()
        roots = [folder.resolve()]
    except (OSError, RuntimeError):
        return False  # a link to itself
    if folder.absolute().parent.name == "snapshots":
        roots.append(folder.absolute().parent.parent.resolve() / "blobs")
    return any(real.is_relative_to(root) for root in roots)


class SizeLimit:
    """Counts what a configuration makes on the meta device, and stops it when it is too much.

    Args:
        source: the model; its weight files say what can be expected.
        memory: bytes that the machine has, or None where weights may stay on disk.
        itemsize: bytes of a number in memory.

    Raises:
        ModelError: the configuration describes far more than the files hold.
        RunError: the model does not fit into the memory of the machine.
    """

    def __init__(self, source: ModelSource, *, memory: int | None, itemsize: int) -> None:
        self.name = source.name
        self.configuration = "its header" if source.gguf_file else "config.json"
        files = _weight_files(source)
        self.held = sum(path.stat().st_size for path in files)
        self.most_tensors = TENSORS_BESIDE + sum(map(_header_bytes, files)) // HEADER_BYTES_A_TENSOR
        self.memory = memory
        self.itemsize = itemsize
        self.weights = self.buffers = self.tensors = 0

    def counting(self) -> Any:
        """Return a context in which the tensors without memory that are made are counted."""
        from torch.overrides import TorchFunctionMode

        count = self.count

        class Counting(TorchFunctionMode):
            def __torch_function__(
                self, function: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                made = function(*args, **(kwargs or {}))
                if getattr(made, "is_meta", False):
                    count(getattr(function, "__name__", ""), made.numel())
                return made

        return Counting()

    def count(self, function: str, size: int) -> None:
        """Take notice of a tensor without memory.

        Args:
            function: what made it; weights come from `empty`, other things from the others.
            size: how many numbers it has.
        """
        if function not in MADE:
            return
        self.tensors += 1
        self.weights += size if function == "empty" else 0
        self.buffers += size if function != "empty" else 0
        expected = NUMBERS_A_BYTE * self.held
        if (
            self.weights > expected + NUMBERS_BESIDE
            or self.buffers > expected + BUFFERS_BESIDE
            or self.tensors > self.most_tensors
        ):
            raise ModelError(
                f"{self.name}: {self.configuration} describes a far larger model than its"
                f" {self.held:,} bytes of weights hold",
                hint="the configuration belongs to another model, or is damaged",
            )
        if self.memory is not None and self.weights * self.itemsize > self.memory:
            raise RunError(
                f"{self.name}: out of memory: it needs more than {self.memory / 1e9:.0f} GB",
                hint="a smaller model, --dtype bfloat16, or --device auto",
            )


def _weight_files(source: ModelSource) -> list[Path]:
    if source.gguf_file:
        return [source.folder / source.gguf_file]
    found = (path for kind in WEIGHT_FILES for path in source.folder.glob(kind))
    return [path for path in found if path.is_file()]


def _header_bytes(path: Path) -> int:
    """Length of the header of a safetensors file, which names the tensors; 0 of other files."""
    if path.suffix != ".safetensors":
        return 0
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError:
        return 0  # loading tells it
    length: int = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    return min(length, path.stat().st_size)
