"""Rows, one at a time -> a data set on disk, mapped into memory. Knows nothing about tasks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

ROWS_PER_CHUNK = 10_000
Row = dict[str, Any]


class _OtherType(Exception):  # noqa: N818 - a reason to begin again, not an error
    """A column has values of several types, and `kind` takes them all."""

    def __init__(self, column: str, kind: type) -> None:
        super().__init__(column)
        self.column, self.kind = column, kind


def spool(read: Callable[[], Iterator[Row]]) -> Dataset:
    """Write rows to a file of this process, and give them as a data set.

    Arrow has one type a column, of 64 bits: numbers of both kinds become floats, other mixtures
    and larger numbers text. What is nested beyond a list of plain values becomes JSON.

    Args:
        read: gives the rows from the start; called again when a later row shows that a column
            needs another type.
    """
    kinds: dict[str, type] = {}
    while True:
        try:
            return _write(read(), kinds)
        except _OtherType as e:
            kinds[e.column] = e.kind


def _write(rows: Iterator[Row], kinds: dict[str, type]) -> Dataset:
    import pyarrow
    from datasets import Dataset

    seen: dict[str, type] = {}
    writer: Any = None
    path = _folder() / f"rows-{len(list(_folder().iterdir()))}.arrow"
    while chunk := list(islice(rows, ROWS_PER_CHUNK)):
        columns = {
            name: [_value(name, row[name], kinds, seen) for row in chunk] for name in chunk[0]
        }
        schema = writer and writer.schema
        table = pyarrow.table(columns, schema=schema)
        if writer is None:
            writer = _Writer(path, table.schema)
        writer.stream.write_table(table)
    if writer is None:
        return Dataset.from_dict({})
    writer.stream.close()
    return Dataset.from_file(str(path))


class _Writer:
    """A stream and its schema, which pyarrow's own writer does not tell."""

    def __init__(self, path: Path, schema: Any) -> None:
        import pyarrow

        self.schema = schema
        self.stream = pyarrow.ipc.new_stream(str(path), schema)


def _value(name: str, value: Any, kinds: dict[str, type], seen: dict[str, type]) -> Any:
    if isinstance(value, dict) or (isinstance(value, list) and any(_nested(v) for v in value)):
        return json.dumps(value, ensure_ascii=False)
    wanted = kinds.get(name)
    if wanted is str:
        return str(value)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise _OtherType(name, str)
    if wanted is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise _OtherType(name, str)
    before = seen.setdefault(name, type(value))
    if before is not type(value):
        raise _OtherType(name, float if {before, type(value)} == {int, float} else str)
    return value


def _nested(value: Any) -> bool:
    return isinstance(value, list | dict)


def _folder(made: list[tempfile.TemporaryDirectory[str]] = []) -> Path:  # noqa: B006 - one a process
    if not made:
        made.append(tempfile.TemporaryDirectory(prefix="hfcli-rows-"))
    return Path(made[0].name)
