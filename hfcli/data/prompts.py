"""A file, a Hub data set or stdin -> rows, one at a time, in flat memory, broken ones included.

For bulk generation: a row that cannot be read is handed on with its complaint, so that as many
rows come out as went in. (`hfcli.data.files` reads training data, and stops at the first one.)
Knows nothing about models.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from hfcli.data.hub import load_hub_split
from hfcli.errors import DataError, did_you_mean

DASH = "-"  # stdin, or stdout
CHUNK = 1 << 20
MAX_CELL = 2**31 - 1


@dataclass(frozen=True)
class InputRow:
    """One row of the input.

    Args:
        number: from 0, counting every row.
        origin: `file:line`.
        values: its columns.
        error: why it could not be read, else None.
    """

    number: int
    origin: str
    values: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class InputRows:
    """An input that can be read.

    Args:
        name: what the user called it.
        fingerprint: changes when the content does; None where that cannot be known (stdin).
        total: how many rows there are, where that is cheap to know.
        read: yields the rows from the start.
    """

    name: str
    fingerprint: str | None
    total: int | None
    read: Callable[[], Iterator[InputRow]]


def open_rows(
    name: str, *, format: str | None = None, split: str = "train", offline: bool = False
) -> InputRows:
    """Find the input and take its fingerprint.

    Args:
        name: a file, `-`, or the id of a Hub data set.
        format: csv, json, jsonl, parquet, tsv or txt; default: by the suffix, jsonl for stdin.
        split: of a Hub data set.
        offline: open no socket.

    Raises:
        DataError: there is no such file or data set, or its format is not known.
    """
    if name == DASH:
        reader = _reader(f".{format or 'jsonl'}", name)
        return InputRows("stdin", None, None, lambda: _numbered("stdin", reader(sys.stdin.buffer)))
    path = Path(name).expanduser()
    if not path.is_file():
        if path.is_dir():
            raise DataError(f"{name}: is a folder", hint="name one of its files")
        if name.count("/") == 1 and not path.suffix and not path.parent.is_dir():
            return _hub(name, split, offline=offline)
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = did_you_mean(path.name, siblings)
        raise DataError(f"{name}: no such file", hint=f"did you mean {near}?" if near else None)
    reader = _reader(f".{format}" if format else path.suffix.lower(), name)

    def read() -> Iterator[InputRow]:
        with path.open("rb") as file:
            yield from _numbered(name, reader(file))

    return InputRows(name, *_look(path, reader), read)


def _look(path: Path, reader: Reader) -> tuple[str, int | None]:
    """SHA-256 of the content, and the number of rows where a look at the bytes tells it."""
    digest = hashlib.sha256()
    lines, last = 0, b"\n"
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                lines += chunk.count(b"\n")
                last = chunk[-1:]
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror})") from e
    total = lines + (last != b"\n") if reader in (_jsonl, _txt) else None
    return digest.hexdigest(), total


Parsed = tuple[int, dict[str, Any] | None, str | None]  # line, columns, complaint
Reader = Callable[[BinaryIO], Iterator[Parsed]]


def _reader(suffix: str, name: str) -> Reader:
    if suffix not in READERS:
        raise DataError(
            f"{name}: cannot read files that end in {suffix!r}",
            hint=f"known: {', '.join(READERS)}; --input-format names another",
        )
    return READERS[suffix]


def _numbered(name: str, parsed: Iterator[Parsed]) -> Iterator[InputRow]:
    for number, (line, values, error) in enumerate(parsed):
        if error is None and values is not None:
            error = _not_text(values)
        yield InputRow(number, f"{name}:{line}", values or {}, error)


def _not_text(values: dict[str, Any]) -> str | None:
    for name, value in values.items():
        try:
            if isinstance(value, str):
                value.encode()
        except UnicodeEncodeError:
            return f"column {name!r} is not valid UTF-8 text"
    return None


def _hub(name: str, split: str, *, offline: bool) -> InputRows:
    rows = load_hub_split(path=name, name=None, revision=None, split=split, offline=offline)

    def read() -> Iterator[InputRow]:
        for number, row in enumerate(rows):
            yield InputRow(number, f"{name}/{split}:{number}", dict(row))

    return InputRows(name, f"{split}-{rows._fingerprint}", len(rows), read)


def _lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(file, start=1):
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
    decoder = json.JSONDecoder()
    buffer, number, opened = "", 0, False
    while True:
        buffer = buffer.lstrip(" \t\r\n,") if opened else buffer.lstrip("\ufeff \t\r\n")
        if not opened and buffer:
            if buffer[0] != "[":
                raise DataError(
                    "a .json input must be a list of objects",
                    hint="one object a line is the format jsonl (--input-format jsonl)",
                )
            buffer, opened = buffer[1:], True
            continue
        if opened and buffer.startswith("]"):
            return
        try:
            row, end = decoder.raw_decode(buffer)
            # A number or word at the very end of what was read may go on.
            whole = end < len(buffer)
        except json.JSONDecodeError:
            whole = False
        if whole:
            yield number, *_object(row)
            number, buffer = number + 1, buffer[end:]
            continue
        more = file.read(CHUNK)
        if not more:
            yield number, None, "not JSON from here on"
            return
        buffer += more.decode("utf-8", errors="surrogateescape")


def _delimited(file: BinaryIO, **dialect: Any) -> Iterator[Parsed]:
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader((f"{line}\n" for _number, line in _lines(file)), **dialect)
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
        if names is None:
            names = [cell.strip() for cell in cells]
        elif len(cells) != len(names):
            yield line, None, f"{len(cells)} cell(s), expected {len(names)}"
        else:
            yield line, dict(zip(names, cells, strict=True)), None


def _csv(file: BinaryIO) -> Iterator[Parsed]:
    return _delimited(file)


def _tsv(file: BinaryIO) -> Iterator[Parsed]:
    return _delimited(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def _parquet(file: BinaryIO) -> Iterator[Parsed]:
    import pyarrow
    import pyarrow.parquet

    try:
        number = 0
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                yield number, row, None
                number += 1
    except pyarrow.ArrowInvalid as e:
        raise DataError(f"not a parquet file ({str(e).splitlines()[0]})") from e


READERS: dict[str, Reader] = {
    ".csv": _csv,
    ".json": _json,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
    ".tsv": _tsv,
    ".txt": _txt,
}
