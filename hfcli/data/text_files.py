"""A file as text, and its lines, paragraphs or all of it, with the lines they begin in.

Knows nothing about rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TextIO

from hfcli.errors import DataError

SampleBy = Literal["document", "paragraph", "line"]

# What ends a line: \n alone, or \n, \r\n and \r. str.splitlines would know eight more.
NEWLINE, ANY_NEWLINE = "\n", ""
BLANK_LINE = re.compile(r"[ \t]*\r?\n")


@contextmanager
def opened(path: Path, newline: str) -> Iterator[TextIO]:
    """The file, to be read as text.

    Args:
        path: of a UTF-8 file.
        newline: which line ends count: `NEWLINE` or `ANY_NEWLINE`.

    Raises:
        DataError: it cannot be read, or is not UTF-8 where the reader has arrived.
    """
    try:
        # utf-8-sig: a byte order mark from a spreadsheet is not part of the first column's name.
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            yield file
    except UnicodeDecodeError as e:
        line, byte = _undecodable(path)
        # The mark that UTF-16 begins with is no character of any 8-bit text.
        source = "utf-16" if line == 1 and byte in (0xFE, 0xFF) else "latin1"
        raise DataError(
            f"{path}:{line}: not UTF-8 (byte 0x{byte:02x})",
            hint=f"convert it: iconv -f {source} -t utf-8 {path.name}",
        ) from e
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror})") from e


def _undecodable(path: Path) -> tuple[int, int]:
    """Line and value of the first byte that is not UTF-8; decoders know its place in a chunk."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as e:
                return number, line[e.start]
    raise AssertionError(f"{path} has changed while it was read")


def _document(file: TextIO) -> Iterator[tuple[int, str]]:
    yield 1, file.read()


def _text_lines(file: TextIO) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(file, start=1):
        yield number, _without_end(line)


def _paragraphs(file: TextIO) -> Iterator[tuple[int, str]]:
    first = 1
    lines: list[str] = []
    for number, line in enumerate(file, start=1):
        if number == 1 or not BLANK_LINE.fullmatch(line):
            first = first if lines else number
            lines.append(line)
        elif lines:
            yield first, _without_end("".join(lines))
            lines = []
    yield first, "".join(lines)


def _without_end(text: str) -> str:
    return text[:-1].removesuffix("\r") if text.endswith("\n") else text


CUTS: dict[SampleBy, Callable[[TextIO], Iterator[tuple[int, str]]]] = {
    "document": _document,
    "line": _text_lines,
    "paragraph": _paragraphs,
}
