"""One side of a case: a command in a process of its own, and when it wrote what.

Knows nothing about what is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

PLAIN = Path(__file__).parent / "plain"
ROOT = Path(__file__).parent.parent
Stream = Literal["stdout", "stderr"]


class SideError(RuntimeError):
    """A side that did not end well."""


@dataclass(frozen=True)
class Line:
    """A line, and the seconds after the start at which its end was written."""

    seconds: float
    stream: Stream
    text: str


@dataclass(frozen=True)
class Finished:
    """What a process did.

    Args:
        seconds: from start to end, imports included.
        lines: of both streams.
        first_byte: seconds until something stood on stdout; None: nothing ever did.
        folder: where it could write.
    """

    seconds: float
    lines: tuple[Line, ...]
    first_byte: float | None
    folder: Path

    def stdout(self) -> str:
        """All that was written there; a missing end of line is added."""
        return "".join(f"{line.text}\n" for line in self.lines if line.stream == "stdout")


def hfcli(*arguments: str) -> list[str]:
    """The hfcli of this folder."""
    return [sys.executable, "-m", "hfcli", *arguments]


def plain(script: str, *arguments: str) -> list[str]:
    """A script in `plain/`."""
    return [sys.executable, str(PLAIN / script), *arguments]


def run(command: Sequence[str], folder: Path) -> Finished:
    """Run a command to its end, without the network.

    Raises:
        SideError: its exit code is not 0; the message ends with what it wrote on stderr.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",  # so that lines are seen when they are written, on all sides
        "HF_HUB_OFFLINE": "1",
        "HFCLI_CACHE": str(folder / "cache"),  # what an earlier run knew must not help
    }
    pieces: dict[Stream, list[tuple[float, bytes]]] = {"stdout": [], "stderr": []}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        threading.Thread(target=_read, args=(process.stdout, pieces["stdout"], start)),
        threading.Thread(target=_read, args=(process.stderr, pieces["stderr"], start)),
    ]
    for reader in readers:
        reader.start()
    code = process.wait()
    seconds = time.perf_counter() - start
    for reader in readers:
        reader.join()
    process.stdout.close()
    process.stderr.close()
    if code:
        told = b"".join(piece for _, piece in pieces["stderr"]).decode(errors="replace")
        raise SideError(f"exit code {code}: {' '.join(command)}\n{told[-2000:]}")
    lines = [line for stream, got in pieces.items() for line in split_lines(stream, got)]
    first = next((at for at, _ in pieces["stdout"]), None)
    return Finished(seconds, tuple(lines), first, folder)


def _read(stream: IO[bytes], pieces: list[tuple[float, bytes]], start: float) -> None:
    while piece := os.read(stream.fileno(), 1 << 16):
        pieces.append((time.perf_counter() - start, piece))


def split_lines(stream: Stream, pieces: Sequence[tuple[float, bytes]]) -> list[Line]:
    """Lines with the time of the piece that ended them."""
    lines, rest, at = [], b"", 0.0
    for at, piece in pieces:
        *ended, rest = (rest + piece).split(b"\n")
        lines += [Line(at, stream, line.decode(errors="replace")) for line in ended]
    if rest:
        lines.append(Line(at, stream, rest.decode(errors="replace")))
    return lines
