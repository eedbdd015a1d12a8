"""Ways in which a file can be damaged, each for any file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def _flip(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    at = int(place * (len(data) - 1))
    data[at] ^= 1
    path.write_bytes(data)


def _replace_by(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _shorter(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "truncated": _shorter,
    "first bit": lambda path: _flip(path, 0),
    "middle bit": lambda path: _flip(path, 0.5),
    "last bit": lambda path: _flip(path, 1),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "random bytes": lambda path: path.write_bytes(os.urandom(300)),
    "a list": lambda path: path.write_text("[1, 2]"),
    "null": lambda path: path.write_text("null"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "a folder": lambda path: _replace_by(path, Path.mkdir),
    "a full folder": lambda path: _replace_by(path, lambda p: shutil.copytree(p.parent, p)),
    "a pipe": lambda path: _replace_by(path, os.mkfifo),
    "unreadable": lambda path: _replace_by(path, lambda p: p.symlink_to(p.name)),  # for root, too
    "a link to nothing": lambda path: _replace_by(path, lambda p: p.symlink_to("nothing")),
}
