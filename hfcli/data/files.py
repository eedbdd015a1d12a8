"""Local files -> rows, one at a time, each with the place it came from.

Reads csv, tsv, json, jsonl, parquet and txt, by suffix. Values stay what the file says: in csv
and tsv every cell is text (pandas would turn the label `NA` into nothing and `1` into 1.0), tsv
knows no quoting. Every complaint names file and line. Memory holds a row, not the file; only a txt
file that is one document, and a json file that is an object, are read whole. Knows nothing about
tasks or splits.
"""

from __future__ import annotations

import csv
import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from hfcli.data.json_items import BrokenJson, decode, list_items
from hfcli.data.text_files import ANY_NEWLINE, CUTS, NEWLINE, SampleBy, opened
from hfcli.errors import DataError, did_you_mean

Row = dict[str, Any]

MAX_CELL = 2**31 - 1  # csv's own limit of 131,072 characters is shorter than a long document
PARQUET_ROWS = 1000  # in memory at a time


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


def _delimited(path: Path, options: FileOptions, **dialect: Any) -> Iterator[tuple[int, Row]]:
    with opened(path, ANY_NEWLINE) as file:
        yield from _table(path, file, options, dialect)


def _table(
    path: Path, file: TextIO, options: FileOptions, dialect: dict[str, Any]
) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(file, strict=True, **dialect)
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
    with opened(path, NEWLINE) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = decode(line.removesuffix("\n"))
            except BrokenJson as e:
                raise DataError(f"{path}:{number}: {e}") from e
            yield number, _object(row, f"{path}:{number}")


def _json(path: Path, options: FileOptions) -> Iterator[tuple[int, Row]]:
    with opened(path, NEWLINE) as file:
        try:
            items = list_items(file)
            if items is None:
                file.seek(0)
                items = _data_of(decode(file.read()), path)
            for number, row in enumerate(items, start=1):
                yield number, _object(row, f"{path}: item {number}")
        except BrokenJson as e:
            extra = "Extra data" in str(e)
            hint = "one object a line is the format jsonl" if extra else None
            raise DataError(f"{path}:{e.line}: {e}", hint=hint) from e


def _data_of(value: Any, path: Path) -> Iterator[Any]:
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise DataError(f"{path}: expected a list of objects, or an object with a list `data`")
    return iter(value["data"])


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
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowInvalid, OSError) as e:
        raise DataError(f"{path}: not a parquet file ({str(e).splitlines()[0]})") from e


def _txt(path: Path, options: FileOptions) -> Iterator[tuple[int, Row]]:
    with opened(path, NEWLINE) as file:
        for line, text in CUTS[options.sample_by](file):
            if text and not text.isspace():
                yield line, {"text": text}


Reader = Callable[[Path, FileOptions], Iterator[tuple[int, Row]]]
READERS: dict[str, Reader] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
    ".txt": _txt,
}
