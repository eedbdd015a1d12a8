"""Text files that users name: read whole, in bounded time and memory, whatever the name leads to.

A name may be a device without end, a pipe that nobody writes into, or a file of many GB.
"""

from __future__ import annotations

import json
import os
import select
import stat
import time
from pathlib import Path
from typing import Any

from hfcli.errors import HfcliError

MOST_BYTES = 10_000_000
SECONDS_FOR_A_PIPE = 1.5  # without a byte
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
BOM = b"\xef\xbb\xbf"


def read_text(path: Path, error: type[HfcliError], *, most: int = MOST_BYTES) -> str:
    """Return the UTF-8 text of a file, or of a pipe that is written into.

    Args:
        path: as the user named it.
        error: kind of the error to raise.
        most: bytes.

    Raises:
        error: it is missing, a folder, a device or a socket, cannot be read, is longer than
            `most`, or not UTF-8.
    """
    data = _read_bytes(path, error, most)
    if data.startswith(UTF_16):
        raise error(f"{path}: UTF-16 text, expected UTF-8", hint="save it as UTF-8")
    try:
        return data.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise error(f"{path}:{line}: not UTF-8 text (byte {data[e.start]:#04x})") from e


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is not JSON, or has too many digits or too deep values.
    """
    try:
        return json.loads(text)
    except RecursionError as e:
        raise ValueError("values stand too deep in each other") from e


def _read_bytes(path: Path, error: type[HfcliError], most: int) -> bytes:
    try:
        # A pipe without a writer, and a line without a carrier, would be waited for.
        number = os.open(path, _flags())
    except FileNotFoundError as e:
        raise error(f"{path}: cannot be read (no such file)") from e
    except OSError as e:
        raise error(f"{path}: cannot be read ({e.strerror})") from e
    except ValueError as e:
        raise error(f"{str(path)!r}: not a file name ({e})") from e
    try:
        return _read_open(number, path, error, most)
    except OSError as e:
        raise error(f"{path}: cannot be read ({e.strerror})") from e
    finally:
        os.close(number)


def _flags() -> int:
    """Return how a file is opened: as bytes, and without waiting, where the system has flags."""
    names = ("O_RDONLY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK", "O_BINARY")
    return sum(getattr(os, name, 0) for name in names)


def _read_open(number: int, path: Path, error: type[HfcliError], most: int) -> bytes:
    mode = os.fstat(number).st_mode
    if stat.S_ISDIR(mode):
        raise error(f"{path}: a folder, expected a file")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise error(f"{path}: a device, expected a file")
    parts: list[bytes] = []
    size = 0
    while part := _next_part(number, path, error, is_pipe=stat.S_ISFIFO(mode)):
        parts.append(part)
        size += len(part)
        if size > most:
            raise error(f"{path}: more than {most:,} bytes")
    if stat.S_ISFIFO(mode) and not parts:
        raise error(f"{path}: a pipe that nothing is written into")
    return b"".join(parts)


def _next_part(number: int, path: Path, error: type[HfcliError], *, is_pipe: bool) -> bytes:
    latest = time.monotonic() + SECONDS_FOR_A_PIPE
    while is_pipe:
        try:
            return os.read(number, 1 << 20)
        except BlockingIOError as e:
            if not select.select([number], [], [], max(0.0, latest - time.monotonic()))[0]:
                raise error(f"{path}: a pipe that nothing is written into") from e
    return os.read(number, 1 << 20)
