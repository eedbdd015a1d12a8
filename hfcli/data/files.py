"""Local files -> rows, each with the place it came from.

Reads csv, tsv, json, jsonl, parquet and txt, by suffix. Values stay what the file says: in csv
and tsv every cell is text (pandas would turn the label `NA` into nothing and `1` into 1.0), tsv
knows no quoting. Every complaint names file and line. Knows nothing about tasks or splits.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hfcli.errors import DataError, did_you_mean

SampleBy = Literal["document", "paragraph", "line"]
Row = dict[str, Any]

MAX_CELL = 2**31 - 1  # csv's own limit of 131,072 characters is shorter than a long document
LINE_END = re.compile(r"\r?\n")
BLANK_LINES = re.compile(r"\r?\n(?:[ \t]*\r?\n)+")


@dataclass(frozen=True)
class FileOptions:
    """How to read files.

    Args:
        column_names: columns of csv and tsv files without a header line.
        sample_by: what is one row of a txt file.
    """

    column_names: tuple[str, ...] | None = None
    sample_by: SampleBy = "document"


def expand(patterns: Sequence[str]) -> list[Path]:
    """Files that the patterns name, in order, globs sorted.

    Raises:
        DataError: a pattern names no file.
    """
    paths: list[Path] = []
    for pattern in patterns:
        literal = Path(pattern).exists() or not glob.has_magic(pattern)
        found = [pattern] if literal else sorted(glob.glob(pattern))
        if not found:
            raise DataError(f"{pattern}: no file matches")
        for name in found:
            paths.append(_existing(Path(name)))
    return paths


def read_rows(path: Path, options: FileOptions) -> Iterator[tuple[str, Row]]:
    """("file:line", row) of one file, in order; parquet counts rows instead of lines.

    Raises:
        DataError: unknown suffix, broken syntax, wrong encoding, or no rows.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: cannot read files that end in {path.suffix!r}"
            if path.suffix
            else f"{path}: a file without a suffix does not say its format",
            hint=f"known: {', '.join(READERS)}",
        )
    empty = True
    for line, row in reader(path, options):
        empty = False
        yield f"{path}:{line}", row
    if empty:
        raise DataError(f"{path}: the file holds no rows")


def _existing(path: Path) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        raise DataError(f"{path}: is a folder", hint=f"name its files, for example {path}/*.csv")
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = did_you_mean(path.name, siblings)
    raise DataError(f"{path}: no such file", hint=f"did you mean {near}?" if near else None)


def _text(path: Path) -> str:
    try:
        # utf-8-sig: a byte order mark from a spreadsheet is not part of the first column's name.
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = path.read_bytes()[: e.start].count(b"\n") + 1
        raise DataError(
            f"{path}:{line}: not UTF-8 (byte 0x{e.object[e.start]:02x})",
            hint=f"convert it: iconv -f latin1 -t utf-8 {path.name}",
        ) from e
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror})") from e


def _delimited(path: Path, options: FileOptions, **dialect: Any) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(MAX_CELL)
    # newline="": only real line ends end a line; str.splitlines knows eight more.
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True, **dialect)
    names = list(options.column_names) if options.column_names else None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as e:
            raise DataError(f"{path}:{reader.line_num}: {e}") from e
        if cells is None:
            return
        if not cells:
            continue  # csv's own reading of a blank line
        if names is None:
            names = _header(cells, f"{path}:{line}")
            continue
        if len(cells) != len(names):
            raise DataError(
                f"{path}:{line}: {len(cells)} cell(s), expected {len(names)} ({', '.join(names)})"
            )
        yield line, dict(zip(names, cells, strict=True))


def _header(cells: list[str], origin: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{origin}: column(s) {twice} given twice in the header line")
    return names


def _csv(path: Path, options: FileOptions) -> Iterator[tuple[int, Row]]:
    return _delimited(path, options)


def _tsv(path: Path, options: FileOptions) -> Iterator[tuple[int, Row]]:
    return _delimited(path, options, delimiter="\t", quoting=csv.QUOTE_NONE)


def _jsonl(path: Path, options: FileOptions) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as e:
            raise DataError(f"{path}:{number}: not JSON ({e.msg} at column {e.colno})") from e
        except (ValueError, RecursionError) as e:
            raise DataError(f"{path}:{number}: JSON too large to read ({e})") from e
        yield number, _object(row, f"{path}:{number}")


def _json(path: Path, options: FileOptions) -> Iterator[tuple[int, Row]]:
    try:
        rows = json.loads(_text(path))
    except json.JSONDecodeError as e:
        raise DataError(
            f"{path}:{e.lineno}: not JSON ({e.msg} at column {e.colno})",
            hint="one object a line is the format jsonl" if e.msg == "Extra data" else None,
        ) from e
    except (ValueError, RecursionError) as e:
        raise DataError(f"{path}: JSON too large to read ({e})") from e
    if isinstance(rows, dict) and isinstance(rows.get("data"), list):
        rows = rows["data"]
    if not isinstance(rows, list):
        raise DataError(f"{path}: expected a list of objects, or an object with a list `data`")
    for number, row in enumerate(rows, start=1):
        yield number, _object(row, f"{path}: item {number}")


def _object(row: Any, origin: str) -> Row:
    if not isinstance(row, dict):
        raise DataError(f"{origin}: expected an object, found {type(row).__name__}")
    return row


def _parquet(path: Path, options: FileOptions) -> Iterator[tuple[int, Row]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowInvalid, OSError) as e:
        raise DataError(f"{path}: not a parquet file ({str(e).splitlines()[0]})") from e


def _txt(path: Path, options: FileOptions) -> Iterator[tuple[int, Row]]:
    text = _text(path)
    if options.sample_by == "document":
        if text.strip():
            yield 1, {"text": text}
        return
    separator = LINE_END if options.sample_by == "line" else BLANK_LINES
    line, start = 1, 0
    for end in [*separator.finditer(text), None]:
        part = text[start : end.start() if end else len(text)]
        if part.strip():
            yield line, {"text": part}
        if end:
            line += text.count("\n", start, end.end())
            start = end.end()


Reader = Callable[[Path, FileOptions], Iterator[tuple[int, Row]]]
READERS: dict[str, Reader] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
    ".txt": _txt,
}
