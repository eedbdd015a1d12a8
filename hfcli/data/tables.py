"""csv and tsv -> rows. Every cell is text; RFC 4180 says how cells stand in quotes.

pandas would turn the label `NA` into nothing and `1` into 1.0. Knows nothing about files' names.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, TextIO

from hfcli.data.parsed import LARGEST_ROW, FileOptions, Parsed, Row, Unreadable
from hfcli.data.quoting import stands_in_quotes
from hfcli.data.text_files import ANY_NEWLINE, as_text, checked, lines
from hfcli.shown import listed, shown

NEVER_CLOSED = "unexpected end of data: a quote is opened here and never closed"
IN_QUOTES = "cells in quotes are read as in csv (quoting: never keeps the quotes)"
TAB = "\t"
SEPARATORS = (";", TAB, "|")  # of tables that are called csv
OTHER_DELIMITER = "save the table with commas, or with tabs as .tsv"


def read_csv(file: BinaryIO, options: FileOptions) -> Iterator[Parsed]:
    """The rows of a csv file."""
    return _table(file, options, ",", quoted=True)


def read_tsv(file: BinaryIO, options: FileOptions) -> Iterator[Parsed]:
    """The rows of a tsv file; the format knows no quotes, so that quotes need evidence."""
    quoted = options.quoting == "always"
    if options.quoting == "auto" and file.seekable():
        start = file.tell()
        quoted = stands_in_quotes(file, options.encoding)
        file.seek(start)
        if quoted:
            options.tell(IN_QUOTES)
    return _table(file, options, TAB, quoted=quoted)


def _table(
    file: BinaryIO, options: FileOptions, delimiter: str, *, quoted: bool
) -> Iterator[Parsed]:
    with as_text(file, options.encoding, ANY_NEWLINE) as text:
        yield from _Table(text, options, delimiter, quoted=quoted).rows()


class _Lines:
    """The lines of a table as csv takes them, and what is wrong with those of the present row.

    Args:
        text: at its beginning.
        encoding: of the text.
    """

    def __init__(self, text: TextIO, encoding: str) -> None:
        self.encoding = encoding
        self.number = 0
        self._lines = lines(text, encoding)
        self.begin()

    def begin(self) -> None:
        """The next line begins a row."""
        self.first = self.number + 1
        self.bad: Parsed | None = None
        self.quote = self.first  # the line in which the last quote was opened
        self._open = False
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        part = next(self._lines)
        self.number, text = part.line, part.text
        if part.error is not None or not text.isascii():
            part = checked(part, self.encoding)
        if part.error is not None:
            self.bad = self.bad or Parsed(part.line, None, part.error, part.hint)
            return text
        self._size += len(text)
        if self._size > LARGEST_ROW:
            raise csv.Error(f"a row of more than {LARGEST_ROW:,} characters")
        quotes = text.replace('""', "").count('"') if '"' in text else 0
        if quotes:
            if quotes > 1 or not self._open:  # one that was open is closed first
                self.quote = self.number
            self._open ^= bool(quotes % 2)
        return text


class _Table:
    def __init__(self, text: TextIO, options: FileOptions, delimiter: str, *, quoted: bool) -> None:
        csv.field_size_limit(LARGEST_ROW)
        self.lines = _Lines(text, options.encoding)
        self.cells = csv.reader(
            self.lines,
            delimiter=delimiter,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            strict=True,
        )
        given = options.column_names
        self.header = _Header(given) if given else None
        self._first = _names_again(given) if given else None
        self._prompts = options.prompts

    def rows(self) -> Iterator[Parsed]:
        """All rows behind the header line."""
        while True:
            self.lines.begin()
            try:
                cells = next(self.cells, None)
            except csv.Error as e:
                yield self._broken(e)
                continue
            if cells is None:
                return
            if self.lines.bad is not None:
                yield self._bad(self.lines.bad)
            elif cells:  # none: csv's own reading of a blank line
                yield from self._row(cells)

    def _row(self, cells: list[str]) -> Iterator[Parsed]:
        line = self.lines.first
        if self.header is None:
            names = _names(cells, line)
            self.header = _Header(names)
            self._first = _one_column(names, line) if self._prompts else None
            return
        if self._first is not None:
            check, self._first = self._first, None
            check(cells, line)
        row = self.header.row(cells)
        yield Parsed(line, row, None if row is not None else self.header.complaint(cells))

    def _broken(self, error: csv.Error) -> Parsed:
        message = str(error)
        if message == "unexpected end of data":
            return self._bad(Parsed(self.lines.quote, None, NEVER_CLOSED))
        if message.startswith(("a row of more than", "field larger than")):
            message = (
                f"the row is longer than {LARGEST_ROW:,} characters: is a quote opened here and"
                " never closed?"
            )
            return self._bad(Parsed(self.lines.quote, None, message))
        return self._bad(Parsed(self.lines.number, None, message))

    def _bad(self, complaint: Parsed) -> Parsed:
        if self.header is None:
            raise Unreadable(
                f"{complaint.error}, in the header line", complaint.line, complaint.hint
            )
        return complaint


def _names_again(given: Sequence[str]) -> Callable[[Sequence[str], int], None]:
    """Refuse a first row that is the header line of a file which was said to have none."""

    def check(cells: Sequence[str], line: int) -> None:
        if [cell.strip() for cell in cells] == list(given):
            raise Unreadable(
                f"names the columns ({listed(given)}), so that the file has a header line",
                line,
                hint="leave --column-names (data.column_names) out",
            )

    return check


def _one_column(names: Sequence[str], line: int) -> Callable[[Sequence[str], int], None] | None:
    """Refuse prompts of a table that something else than the delimiter separates."""
    mark = next((mark for mark in SEPARATORS if len(names) == 1 and mark in names[0]), None)
    if mark is None:
        return None

    def check(cells: Sequence[str], _line: int) -> None:
        if len(cells) == 1 and cells[0].count(mark) == names[0].count(mark):
            raise Unreadable(only_one_column(names[0], mark), line, hint=OTHER_DELIMITER)

    return check


def only_one_column(name: str, mark: str) -> str:
    """Why a table of one column is refused: `mark` seems to separate several."""
    return f"there is one column only, {name!r}; it seems that {mark!r} separates the columns"


class _Header:
    """The names of the columns; a column without a name has one where it has a value.

    Args:
        names: in the order of the file, "" where there is none.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = [name or _by_place(place, names) for place, name in enumerate(names, start=1)]
        self.unnamed = {place for place, name in enumerate(names) if not name}
        named = [place for place in range(len(names)) if place not in self.unnamed]
        self.least = named[-1] + 1 if named else 1

    def row(self, cells: Sequence[str]) -> Row | None:
        """The cells by their columns; None where their number is wrong."""
        if not self.unnamed:
            if len(cells) != len(self.names):
                return None
            return dict(zip(self.names, cells, strict=True))
        if not self.least <= len(cells) <= len(self.names):
            return None
        both = enumerate(zip(self.names, cells, strict=False))
        return {name: cell for i, (name, cell) in both if cell or i not in self.unnamed}

    def complaint(self, cells: Sequence[str]) -> str:
        """Why `row` gave None."""
        return f"{len(cells)} cell(s), expected {len(self.names)} ({listed(self.names)})"


def _by_place(place: int, names: Sequence[str]) -> str:
    name = f"column_{place}"
    while name in names:
        name += "_"
    return name


def _names(cells: Sequence[str], line: int) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted(name for name, times in Counter(names).items() if name and times > 1)
    if twice:
        raise Unreadable(f"column(s) {shown(twice)} given twice in the header line", line)
    if not any(names):
        raise Unreadable("the header line names no column", line)
    return names
