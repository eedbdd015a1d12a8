"""A JSON list -> its items, one at a time; the text is never in memory as a whole.

What is wrong is told with line and column, in the words of Python's own decoder. Knows nothing
about files.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

CHUNK = 1 << 20  # characters
LARGEST_ITEM = 1 << 26  # characters
# The longest word that a cut can make unreadable is -Infinity; errors before that are real.
MARGIN = 16
SPACE = re.compile(r"[ \t\n\r]*")
BAD_BYTE = re.compile("[\udc80-\udcff]")  # where surrogateescape puts them


class BrokenJson(Exception):  # noqa: N818 - as json calls it, with a place in the whole text
    """The text is not JSON, or too large.

    Args:
        what: what is wrong, with the column.
        line: where, from 1.
    """

    def __init__(self, what: str, line: int = 1) -> None:
        super().__init__(what)
        self.line = line


class Repeated(dict[str, Any]):
    """An object that names a key twice: which of two values is meant, nobody can know."""

    key = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    repeated = Repeated(made)
    repeated.key = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
    return repeated


DECODER = json.JSONDecoder(object_pairs_hook=_object)


def decode(text: str) -> Any:
    """`json.loads` with one error; objects that name a key twice are `Repeated`.

    Raises:
        BrokenJson: it cannot be decoded.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as e:
        raise _broken(e.msg, e.lineno, e.colno) from e
    except (ValueError, RecursionError) as e:
        raise _too_large(e) from e


def list_items(file: TextIO) -> Iterator[Any] | None:
    """The items of the list in `file`, read as they are asked for; None where it holds no list.

    A number that is an item may be cut short; readers of objects refuse it in any case.

    Raises:
        BrokenJson: while reading.
    """
    return begin(file)[0]


def begin(file: TextIO) -> tuple[Iterator[Any] | None, str]:
    """The items of the list in `file` as `list_items` gives them; else what was read so far.

    An item with bytes that could not be decoded is a `BadItem`.
    """
    text = _Text(file)
    return (_items(text), "") if text.next() == "[" else (None, text.text)


@dataclass(frozen=True)
class BadItem:
    """An item that holds a byte which is not of the encoding, as `surrogateescape` leaves it.

    Args:
        line: of the byte, from 1.
        byte: as it was decoded.
    """

    line: int
    byte: str


def _items(text: _Text) -> Iterator[Any]:
    text.at += 1
    more = text.next() != "]"
    while more:
        value = text.value()
        bad = BAD_BYTE.search(text.text, text.begun, text.at)
        yield value if bad is None else BadItem(text.line_of(bad.start()), bad[0])
        mark = text.next()
        if mark not in ("]", ","):
            raise text.error("Expecting ',' delimiter", text.at)
        more = mark == ","
        if more:
            comma = text.place()
            text.at += 1
            if text.next() == "]" and TRAILING_COMMA is not None:
                raise _broken(TRAILING_COMMA, *comma)
    text.at += 1
    if text.next():
        raise text.error("Extra data", text.at)


def _trailing_comma() -> str | None:
    """What Python says of a comma before the end of a list, from 3.13 on; before, None."""
    try:
        DECODER.decode("[0,]")
    except json.JSONDecodeError as e:
        return e.msg if e.pos == len("[0") else None
    return None


TRAILING_COMMA = _trailing_comma()


def _broken(message: str, line: int, column: int) -> BrokenJson:
    return BrokenJson(f"not JSON ({message} at column {column})", line)


def _too_large(error: Exception, line: int = 1) -> BrokenJson:
    why = "nested too deep" if isinstance(error, RecursionError) else "a number of too many digits"
    return BrokenJson(f"JSON too large to read ({why})", line)


class _Text:
    """What was read and is not done with; `line` and `column` say where it begins."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.text, self.at = "", 0
        self.line, self.column = 1, 1
        self.begun = 0  # where the last value begins

    def next(self) -> str:
        """Go to the next character that is not white space; "" at the end."""
        while True:
            space = SPACE.match(self.text, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def value(self) -> Any:
        """Decode the value that begins here, and go behind it."""
        while True:
            self.begun = self.at
            try:
                value, self.at = DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as e:
                error = self.error(e.msg, e.pos)
                open_string = e.msg.startswith("Unterminated string")
                cut = open_string or e.pos > len(self.text) - MARGIN
                if not cut or not self._more():
                    raise error from e
            except (ValueError, RecursionError) as e:
                raise _too_large(e, self._place(self.at)[0]) from e
            else:
                return value

    def error(self, message: str, at: int) -> BrokenJson:
        """`message` with the place of a character."""
        return _broken(message, *self._place(at))

    def line_of(self, at: int) -> int:
        """The line of a character."""
        return self._place(at)[0]

    def place(self) -> tuple[int, int]:
        """Line and column of the next character."""
        return self._place(self.at)

    def _place(self, at: int) -> tuple[int, int]:
        lines = self.text.count("\n", 0, at)
        column = at - self.text.rfind("\n", 0, at) if lines else self.column + at
        return self.line + lines, column

    def _more(self) -> bool:
        """Forget what is done with and read on: as much again, so that long items cost little."""
        self.line, self.column = self._place(self.at)
        rest = self.text[self.at :]
        if len(rest) > LARGEST_ITEM:
            raise BrokenJson(f"an item is longer than {LARGEST_ITEM:,} characters", self.line)
        new = self.file.read(max(CHUNK, len(rest)))
        self.text, self.at = rest + new, 0
        return bool(new)
