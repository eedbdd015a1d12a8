"""A data file as bytes: regular files only, unpacked where the name ends in .gz.

Knows nothing about encodings or rows.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from hfcli.errors import DataError, did_you_mean

GZIP = ".gz"
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)  # what a damaged gzip file raises
BUFFER = 1 << 17  # bytes


@dataclass(frozen=True)
class FileName:
    """What the name of a file says about its content.

    Args:
        suffix: of the content, in lower case: `.csv` of a.csv and of a.csv.gz.
        packed: whether the content is packed by gzip.
    """

    suffix: str
    packed: bool = False

    @classmethod
    def of(cls, path: Path) -> FileName:
        """Read a path's suffixes."""
        packed = path.suffix.lower() == GZIP
        inner = path.with_suffix("") if packed else path
        return cls(inner.suffix.lower(), packed)


def check_file(path: Path, hint: str | None = None) -> Path:
    """See that a path is a regular file, which alone can be read twice and has an end.

    Args:
        path: may be a link to one.
        hint: what to do with a device, pipe or socket.

    Raises:
        DataError: it is not, or the system does not let it be looked at.
    """
    try:
        if path.is_file():
            return path
        if path.is_dir():
            raise DataError(
                f"{path}: is a folder", hint=f"name its files, for example {path}/*.csv"
            )
        if path.exists():
            raise DataError(f"{path}: is not a file, but a device, pipe or socket", hint=hint)
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    except (OSError, ValueError) as e:
        raise DataError(f"{str(path)[:200]!r}: cannot be read ({_reason(e)})") from e
    near = did_you_mean(path.name, siblings)
    raise DataError(f"{path}: no such file", hint=f"did you mean {near}?" if near else None)


@contextmanager
def open_bytes(path: Path, *, packed: bool) -> Iterator[BinaryIO]:
    """Open a file to be read as bytes, unpacked as they are read.

    Args:
        path: of a regular file.
        packed: whether it is packed by gzip.

    Raises:
        DataError: it cannot be read, or is damaged where the reader has arrived.
    """
    try:
        with path.open("rb") as file:
            if packed:
                unpacked = gzip.GzipFile(fileobj=file)
                yield cast(BinaryIO, io.BufferedReader(unpacked, BUFFER))
            else:
                yield file
    except DAMAGED as e:
        raise DataError(f"{path}: not a gzip file, or a damaged one ({e})") from e
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({_reason(e)})") from e


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
