"""Records -> the output file: jsonl, csv or parquet. Knows nothing about models."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from hfcli.errors import DataError, RunError

ROWS_PER_GROUP = 4096
Record = dict[str, Any]


def output_suffix(output: Path, format: str | None) -> str:
    """The format of an output file.

    Raises:
        DataError: it is not known.
    """
    suffix = f".{format}" if format else output.suffix.lower()
    if suffix not in WRITERS:
        raise DataError(
            f"{output}: cannot write files that end in {suffix!r}",
            hint=f"known: {', '.join(WRITERS)}; --output-format names another",
        )
    return suffix


def json_line(record: Record) -> str:
    """A record as one line of JSON."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def write_records(path: Path, suffix: str, rows: Callable[[], Iterator[Record]]) -> None:
    """Write all records; `rows` can be called more than once.

    Raises:
        RunError: the disk is full.
    """
    try:
        WRITERS[suffix](path, rows)
    except OSError as e:
        raise RunError(
            f"{path}: cannot be written ({e.strerror})",
            hint="what is finished is kept, and the same command goes on",
        ) from e


def _jsonl(path: Path, rows: Callable[[], Iterator[Record]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for record in rows():
            file.write(json_line(record))


def _csv(path: Path, rows: Callable[[], Iterator[Record]]) -> None:
    names = _kinds(rows())
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for record in rows():
            writer.writerow([_cell(record.get(name)) for name in names])


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _kinds(rows: Iterable[Record]) -> dict[str, set[type]]:
    """Every column, in order of appearance, and the types of its values but None."""
    kinds: dict[str, set[type]] = {}
    for record in rows:
        for name, value in record.items():
            known = kinds.setdefault(name, set())
            if value is not None:
                # Whole numbers beyond int64 become text, in parquet too.
                known.add(str if isinstance(value, int) and abs(value) >> 63 else type(value))
    return kinds


def _parquet(path: Path, rows: Callable[[], Iterator[Record]]) -> None:
    import pyarrow
    import pyarrow.parquet

    plain = {bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64()}
    kinds = _kinds(rows())
    types = {
        name: plain.get(next(iter(found)), pyarrow.string())
        if len(found) == 1
        else pyarrow.float64()
        if found == {int, float}
        else pyarrow.string()
        for name, found in kinds.items()
    }
    schema = pyarrow.schema(list(types.items()))
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        group: list[Record] = []
        for record in rows():
            group.append({name: _value(record.get(name), types[name]) for name in types})
            if len(group) == ROWS_PER_GROUP:
                writer.write_table(pyarrow.Table.from_pylist(group, schema))
                group = []
        writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _value(value: Any, kind: Any) -> Any:
    """As the column wants it; what is neither number nor text becomes JSON."""
    if str(kind) != "string" or value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


WRITERS: dict[str, Callable[[Path, Callable[[], Iterator[Record]]], None]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
