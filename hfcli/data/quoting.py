"""Does a tsv file have its cells in quotes, as RFC 4180 has those of csv? Two readings, one rule.

tsv knows no quotes (IANA's text/tab-separated-values), and many files hold texts with quotes in
them; pandas, Excel and R put cells in quotes all the same where these hold a quote, a tab or a line
end. A file is read with quotes only where nothing else explains it; see `stands_in_quotes`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO, TextIO

from hfcli.data.parsed import LARGEST_ROW, Unreadable
from hfcli.data.text_files import ANY_NEWLINE, as_text, lines

CHUNK = 1 << 16  # bytes
QUOTE, TWO, TAB = '"', '""', "\t"


def stands_in_quotes(file: BinaryIO, encoding: str) -> bool:
    """Whether cells in quotes are meant as in csv.

    Where every row has as many cells as the first when quotes mean nothing: every cell with a
    quote in it must begin and end with one and double those within, and at least one must have
    such a doubled quote, or all cells of the file be in quotes. Where the number of cells
    differs: csv's reading must give every row as many cells as the first.

    Args:
        file: a tsv file, at its beginning; read to where the answer is known.
        encoding: of its text.
    """
    start = file.tell()
    try:
        if not _has_quotes(file):
            return False
        file.seek(start)
        with as_text(file, encoding, ANY_NEWLINE) as text:
            told = _look(text, encoding)
        if told is not None:
            return told
        file.seek(start)
        with as_text(file, encoding, ANY_NEWLINE) as text:
            return _even(csv.reader(_texts(text, encoding), delimiter=TAB, strict=True))
    except (Unreadable, csv.Error):
        return False  # reading the rows tells what is wrong, with its line


def _has_quotes(file: BinaryIO) -> bool:
    while chunk := file.read(CHUNK):
        if b'"' in chunk:
            return True
    return False


def _texts(text: TextIO, encoding: str) -> Iterator[str]:
    for part in lines(text, encoding):
        if part.error is not None:
            raise csv.Error(part.error)
        yield part.text


def _look(text: TextIO, encoding: str) -> bool | None:
    """What the cells say when quotes mean nothing; None where their number differs."""
    doubled, all_quoted, well_formed, width = False, True, True, 0
    for line in _texts(text, encoding):
        bare = line.rstrip("\r\n")
        if not bare:
            continue
        cells = bare.split(TAB)
        width = width or len(cells)
        if len(cells) != width:
            return None
        for cell in cells:
            if QUOTE not in cell:
                all_quoted = False
            elif len(cell) > 1 and cell[0] == cell[-1] == QUOTE:
                inner = cell[1:-1]
                well_formed = well_formed and QUOTE not in inner.replace(TWO, "")
                doubled = doubled or TWO in inner
            else:
                well_formed = False
    return well_formed and (doubled or (all_quoted and width > 1))


def _even(rows: Iterator[list[str]]) -> bool:
    """Whether all rows have as many cells as the first, which has more than one."""
    csv.field_size_limit(LARGEST_ROW)
    width = 0
    for cells in rows:
        width = width or len(cells)
        if cells and len(cells) != width:
            return False
    return width > 1
