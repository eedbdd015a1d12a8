"""Bytes as text, and its lines, paragraphs or all of it, with the lines they begin in.

Bytes that are not of the encoding are told with their line; what follows is read. Knows nothing
about columns.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, TextIO

from hfcli.data.json_items import BAD_BYTE
from hfcli.data.parsed import LARGEST_ROW, LARGEST_TEXT, Unreadable
from hfcli.data.parsed import SampleBy as SampleBy

# What ends a line: \n alone, or \n, \r\n and \r. str.splitlines would know eight more.
NEWLINE, ANY_NEWLINE = "\n", ""
BLANK_LINE = re.compile(r"[ \t]*\r?\n")
LOOKED_AT = 1 << 16  # bytes
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Part(NamedTuple):
    """A piece of text.

    Args:
        line: where it begins, from 1.
        text: as it stands in the file.
        error: why it cannot be used, or None.
        hint: what to do about that.
    """

    line: int
    text: str
    error: str | None = None
    hint: str | None = None


@contextmanager
def as_text(file: BinaryIO, encoding: str, newline: str) -> Iterator[TextIO]:
    """Decode a file as it is read; it stays open.

    Args:
        file: at its beginning.
        encoding: as Python names it.
        newline: which line ends count: `NEWLINE` or `ANY_NEWLINE`.

    Raises:
        Unreadable: what follows cannot be decoded.
    """
    codec = codecs.lookup(encoding).name
    # utf-8-sig: a byte order mark from a spreadsheet is not part of the first column's name.
    codec = "utf-8-sig" if codec == "utf-8" else codec
    # Behind a bad byte of UTF-16 nothing can be told apart; elsewhere it spoils its own row only.
    errors = "strict" if codec.startswith(("utf-16", "utf-32")) else "surrogateescape"
    text = io.TextIOWrapper(file, encoding=codec, errors=errors, newline=newline)
    try:
        yield text
    except UnicodeError as e:
        raise Unreadable(f"not {encoding} text ({_reason(e)})", hint=_hint(encoding)) from e
    finally:
        if not file.closed:
            text.detach()


def line_ends(file: BinaryIO) -> str:
    """Which line ends count in a text by itself: \\n, or \\r where the file has no other.

    A carriage return within a text is part of it, but for the files of old Macintoshes.

    Args:
        file: at its beginning, and left there; one that is read only once is not looked at.
    """
    if not file.seekable():
        return NEWLINE
    start = file.tell()
    head = file.read(LOOKED_AT)
    file.seek(start)
    return ANY_NEWLINE if b"\r" in head and b"\n" not in head else NEWLINE


def parts(file: TextIO, encoding: str, by: SampleBy, newline: str = NEWLINE) -> Iterator[Part]:
    """The parts of a text as asked for; those that are blank, too.

    Args:
        file: as `as_text` gives it.
        encoding: of the file.
        by: what is a part.
        newline: which line ends count, as `line_ends` tells it.
    """
    given = lines(file, encoding) if by != "document" else _whole(file)
    if newline == ANY_NEWLINE and by != "document":
        given = (part._replace(text=re.sub("\r$", "\n", part.text)) for part in given)
    for part in CUTS[by](given):
        yield part if part.error else checked(part, encoding)


def lines(file: TextIO, encoding: str) -> Iterator[Part]:
    """The lines of a file with their ends; a longer one than `LARGEST_ROW` is a complaint."""
    number = 0
    while line := file.readline(LARGEST_ROW):
        number += 1
        if len(line) == LARGEST_ROW and line[-1] not in "\r\n":
            yield Part(number, "", f"the line is longer than {LARGEST_ROW:,} characters")
            _skip_line(file)
            continue
        yield Part(number, line)


def checked(part: Part, encoding: str) -> Part:
    """The part, with a complaint where bytes of it were not of the encoding.

    Raises:
        Unreadable: the file begins as one of another encoding does.
    """
    if part.text.isascii() or part.error is not None:
        return part
    bad = BAD_BYTE.search(part.text)
    if bad is None:
        return part
    line = part.line + part.text.count("\n", 0, bad.start())
    byte = ord(bad[0]) - 0xDC00
    message = f"not {encoding.upper()} (byte 0x{byte:02x})"
    if line == 1:
        begun = part.text[:4].encode("utf-8", "surrogateescape")
        other = next((name for mark, name in MARKS.items() if begun.startswith(mark)), None)
        if other is not None:
            told = f"{message}; it begins as {other.upper()} text does"
            raise Unreadable(told, 1, _hint(encoding, other))
    return Part(line, part.text, message, _hint(encoding, "cp1252" if byte < 0xA0 else "latin1"))


def _reason(error: UnicodeError) -> str:
    return str(getattr(error, "reason", None) or error)


def _hint(encoding: str, other: str = "latin1") -> str:
    if codecs.lookup(encoding).name != "utf-8":
        return "--encoding, or data.encoding in a recipe, names another encoding"
    return (
        f"--encoding {other} reads it (in a recipe: data.encoding: {other}); or convert it: iconv"
        f" -f {other} -t utf-8"
    )


def _skip_line(file: TextIO) -> None:
    while (more := file.readline(LARGEST_ROW)) and more[-1] not in "\r\n":
        pass


def _whole(file: TextIO) -> Iterator[Part]:
    text = file.read(LARGEST_TEXT + 1)
    if len(text) > LARGEST_TEXT:
        told = f"the text is longer than {LARGEST_TEXT:,} characters"
        yield Part(1, "", told, "data.sample_by: paragraph, or line, reads it in parts")
    else:
        yield Part(1, text)


def _text_lines(given: Iterator[Part]) -> Iterator[Part]:
    for part in given:
        yield part._replace(text=without_end(part.text))


def _paragraphs(given: Iterator[Part]) -> Iterator[Part]:
    first, size = 1, 0
    held: list[str] = []
    for number, line, error, hint in given:
        if error is not None:
            yield Part(number, "", error, hint)
        elif number == 1 or not BLANK_LINE.fullmatch(line):
            first = first if size else number
            size += len(line)
            if size <= LARGEST_ROW:
                held.append(line)
        elif size:
            part = _paragraph(first, held, size)
            yield part._replace(text=without_end(part.text))
            held, size = [], 0
    yield _paragraph(first, held, size)


def _paragraph(first: int, held: list[str], size: int) -> Part:
    if size > LARGEST_ROW:
        return Part(first, "", f"the paragraph is longer than {LARGEST_ROW:,} characters")
    return Part(first, "".join(held))


def without_end(text: str) -> str:
    """The line without its \\n or \\r\\n."""
    return text[:-1].removesuffix("\r") if text.endswith("\n") else text


CUTS: dict[SampleBy, Callable[[Iterator[Part]], Iterator[Part]]] = {
    "document": lambda given: given,
    "line": _text_lines,
    "paragraph": _paragraphs,
}
