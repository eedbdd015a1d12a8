"""Open files -> rows one at a time, in flat memory; what cannot be read is a complaint in place.

A reader takes a binary file and yields (line, columns, complaint). It raises DataError only where
nothing after it can be read either, and does not know the name of its file.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from hfcli.errors import DataError

CHUNK = 1 << 20
LARGEST_ROW = 1 << 26  # characters; a quote or bracket that is never closed must not fill memory
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Parsed = tuple[int, dict[str, Any] | None, str | None]
Reader = Callable[[BinaryIO], Iterator[Parsed]]


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8; bytes that were none have become surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(file, start=1):
        if number == 1 and line.startswith(UTF_16):
            raise DataError("is UTF-16 text", hint="convert it: iconv -f utf-16 -t utf-8")
        text = line.decode("utf-8", errors="surrogateescape")
        if number == 1:
            text = text.removeprefix("\ufeff")
        yield number, text.removesuffix("\n").removesuffix("\r")


def _txt(file: BinaryIO) -> Iterator[Parsed]:
    for number, line in _lines(file):
        yield number, {"prompt": line}, None


def _jsonl(file: BinaryIO) -> Iterator[Parsed]:
    for number, line in _lines(file):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as e:
            shown = "an empty line" if not line.strip() else f"{e.msg} at column {e.colno}"
            yield number, None, f"not JSON ({shown})"
        except (ValueError, RecursionError) as e:
            yield number, None, f"JSON too large to read ({e})"
        else:
            yield number, *_object(row)


def _object(row: Any) -> tuple[dict[str, Any] | None, str | None]:
    if isinstance(row, str):
        return {"prompt": row}, None
    if not isinstance(row, dict):
        return None, f"expected an object, found {type(row).__name__}"
    return row, None


def _json(file: BinaryIO) -> Iterator[Parsed]:
    """The items of a list, decoded one by one; the text is never in memory as a whole."""
    # Incremental: the end of a chunk may cut a character in two.
    text = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
    scan = json.JSONDecoder().raw_decode
    buffer, at, number, opened = "", 0, 0, False
    while True:
        at = _past(buffer, at, " \t\r\n," if opened else "\ufeff \t\r\n")
        if not opened and at < len(buffer):
            if buffer[at] != "[":
                raise DataError(
                    "a .json input must be a list of objects",
                    hint="one object a line is the format jsonl (--input-format jsonl)",
                )
            at, opened = at + 1, True
            continue
        if opened and buffer.startswith("]", at):
            return
        try:
            row, end = scan(buffer, at)
            # A number or word at the very end of what was read may go on.
            whole = end < len(buffer)
        except json.JSONDecodeError:
            whole = False
        except (ValueError, RecursionError) as e:
            yield number, None, f"JSON too large to read ({e}); nothing after it was read"
            return
        if whole:
            yield number, *_object(row)
            number, at = number + 1, end
            continue
        more = file.read(CHUNK)
        if not more or len(buffer) - at > LARGEST_ROW:
            if opened or buffer[at:]:
                yield number, None, "not JSON from here on"
            return
        buffer, at = buffer[at:] + text.decode(more), 0


def _past(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at


def _delimited(file: BinaryIO, **dialect: Any) -> Iterator[Parsed]:
    csv.field_size_limit(LARGEST_ROW)
    at_end = False

    def lines() -> Iterator[str]:
        nonlocal at_end
        for _number, line in _lines(file):
            yield f"{line}\n"
        at_end = True

    reader = csv.reader(lines(), **dialect)
    names: Sequence[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as e:
            yield line, None, str(e)
            continue
        if cells is None:
            return
        if not cells:
            continue  # csv's own reading of a blank line
        if at_end:  # the reader looked for more to this row, and there was none
            yield line, None, "a quote is opened here and never closed"
        elif names is None:
            names = _header(cells)
        elif len(cells) != len(names):
            yield line, None, f"{len(cells)} cell(s), expected {len(names)}"
        else:
            yield line, dict(zip(names, cells, strict=True)), None


def _header(cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"column(s) {twice} given twice in the header line")
    if not all(map(is_text, names)):
        raise DataError("the header line is not UTF-8 text", hint="iconv converts it")
    return names


def _csv(file: BinaryIO) -> Iterator[Parsed]:
    return _delimited(file)


def _tsv(file: BinaryIO) -> Iterator[Parsed]:
    return _delimited(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def _parquet(file: BinaryIO) -> Iterator[Parsed]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                yield number, row, None
                number += 1
    except (pyarrow.ArrowException, OSError) as e:  # OSError: what Arrow raises for broken pages
        raise DataError(f"no parquet file, or a damaged one ({str(e).splitlines()[0]})") from e


READERS: dict[str, Reader] = {
    ".csv": _csv,
    ".json": _json,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
    ".tsv": _tsv,
    ".txt": _txt,
}
A_LINE_A_ROW = (".jsonl", ".txt")
