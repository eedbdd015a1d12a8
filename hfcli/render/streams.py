"""stdout for the answer, stderr for the conversation. Text goes out raw, never through rich.

Control characters are obeyed by terminals. On stderr, in tables and on a terminal they are
escaped here; into a pipe and into files, a model's text and JSON go as they are.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import sys
from typing import Any, TextIO

from hfcli.errors import HfcliError, RunError
from hfcli.shown import json_bytes, visible, visible_json, visible_line


class StdoutClosed(Exception):  # noqa: N818 - an event, not an error
    """Whoever read stdout has gone; the boundary ends the process quietly."""


class _Lossy(io.FileIO):
    """A file whose disk may be full, or whose reader may have gone: what it cannot take is lost."""

    def write(self, data: Any) -> int:
        """Write what can be written, and say that all was."""
        with contextlib.suppress(OSError):
            return super().write(data)
        return memoryview(data).nbytes


def lossy_stderr(stream: TextIO) -> TextIO:
    """Return stderr as a stream that never fails: the conversation must not end the work."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return stream  # not a file: someone else's object in its place
    raw = _Lossy(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="replace", line_buffering=True
    )


def close_stdout() -> None:
    """Flush stdout; what cannot be written is given up, and does not change the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_stdout()


def _drop_stdout() -> None:
    # The interpreter flushes stdout once more when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_out(text: str) -> None:
    """Write to stdout as it is, at once.

    Raises:
        StdoutClosed: the pipe is closed.
        RunError: the disk is full, or the like.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as e:
        _drop_stdout()
        if isinstance(e, BrokenPipeError) or (os.name == "nt" and e.errno == errno.EINVAL):
            raise StdoutClosed from e
        raise RunError(f"stdout cannot be written ({e.strerror})") from e


def write_model_text(text: str) -> None:
    """Write what a model wrote: as it is into a pipe; on a terminal, control characters are shown
    and not obeyed, since a text could move the cursor, ring, or rename the window.

    Raises:
        StdoutClosed: the pipe is closed.
    """
    write_out(visible(text) if sys.stdout.isatty() else text)


def write_line(text: str) -> None:
    """Write one line of an answer to stdout, with control characters as escapes.

    Raises:
        StdoutClosed: the pipe is closed.
    """
    write_out(f"{visible_line(text)}\n")


def write_err(text: str) -> None:
    """Write a line, or several, to stderr, with control characters as escapes."""
    sys.stderr.write(f"{visible(text)}\n")
    sys.stderr.flush()


def write_json(value: dict[str, Any] | list[dict[str, Any]]) -> None:
    """One JSON value on stdout; NaN and infinity, which JSON lacks, become null.

    Half of a character, as in a file name that is not UTF-8, and on a terminal every control
    character, is written as JSON's `\\u001b`.
    """
    text = json.dumps(finite(value), ensure_ascii=False, indent=2, allow_nan=False)
    write_out((visible_json if sys.stdout.isatty() else json_bytes)(text) + "\n")


def write_error(error: HfcliError) -> None:
    """`error: ...` for each line and, where there is one, `hint: ...` on stderr."""
    lines = [f"error: {line}" for line in error.lines]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    write_err("\n".join(map(visible_line, lines)))


def finite(value: Any) -> Any:
    """The value with null in place of NaN and infinity, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
