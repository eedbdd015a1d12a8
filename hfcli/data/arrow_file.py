"""Rows, one at a time -> a data set on disk, mapped into memory. Knows nothing about tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from hfcli import files

if TYPE_CHECKING:
    from datasets import Dataset, Features

Row = dict[str, Any]
Kind = str  # text, bool, int, float, json, or a list of one; "" where there was no value yet

CHUNK_SIZE = 1_000_000  # characters that are in memory before they are written
CELL_SIZE = 64  # what a value costs beside its characters
BATCH = 1_000  # rows that are hashed at a time
LIST = "list of "
PLAIN: dict[type, Kind] = {str: "text", bool: "bool", int: "int", float: "float", type(None): ""}


class _OtherKind(Exception):  # noqa: N818 - a reason to begin again, not an error
    """Columns have values of other kinds than those before them."""

    def __init__(self, kinds: dict[str, Kind]) -> None:
        super().__init__()
        self.kinds = kinds


def write_rows(read: Callable[[], Iterable[Row]], features: Features | None = None) -> Dataset:
    """Write rows to a file of this process, and give them as a data set.

    Arrow has one type a column, of 64 bits: numbers of both kinds become floats, other mixtures
    and larger numbers text. What is nested beyond a list of plain values becomes JSON. Equal rows
    give a data set with the same fingerprint.

    Args:
        read: gives the rows from the start; called again when a later row shows that a column
            needs another type.
        features: the types, where they are known.
    """
    from datasets import Dataset

    if features is not None:
        return _write(_columns(read()), features.arrow_schema) or Dataset.from_dict({}, features)
    kinds: dict[str, Kind] = {}
    while True:
        try:
            return _write(_of_kinds(_columns(read()), kinds), None) or Dataset.from_dict({})
        except _OtherKind as e:
            kinds = e.kinds


def _columns(rows: Iterable[Row]) -> Iterator[dict[str, list[Any]]]:
    """The rows as columns, some of them at a time."""
    columns: dict[str, list[Any]] = {}
    size = 0
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
            size += CELL_SIZE + (len(value) if isinstance(value, str) else 0)
        if size >= CHUNK_SIZE:
            yield columns
            columns, size = {}, 0
    if columns:
        yield columns


def _write(chunks: Iterator[Any], schema: Any) -> Dataset | None:
    import pyarrow
    from datasets import Dataset

    path = files.scratch_name("rows").with_suffix(".arrow")
    writer = None
    for columns in chunks:
        table = pyarrow.table(columns, schema=schema)
        if writer is None:
            writer = pyarrow.ipc.new_stream(str(path), table.schema)
        writer.write_table(table)
    if writer is None:
        return None
    writer.close()
    return Dataset.from_file(str(path))


def rows_hash(rows: Dataset) -> str:
    """Return the SHA-256 of what a data set holds: its columns, and all rows in their order."""
    digest = hashlib.sha256(str(rows.features).encode())
    for table in rows.with_format("arrow").iter(batch_size=BATCH):
        for batch in table.combine_chunks().to_batches():
            digest.update(batch.serialize())
    return digest.hexdigest()


def _of_kinds(
    chunks: Iterator[dict[str, list[Any]]], known: dict[str, Kind]
) -> Iterator[dict[str, Any]]:
    """Arrays of one type a column; `known` kinds count as seen before the first chunk.

    Raises:
        _OtherKind: another chunk than the first is of another kind.
    """
    import pyarrow

    first = True
    for columns in chunks:
        kinds = {n: _join(known.get(n, ""), _kind(values)) for n, values in columns.items()}
        if kinds != known and not first:
            raise _OtherKind(kinds)
        known, first = kinds, False
        yield {
            name: pyarrow.array(_as_kind(values, kinds[name]), _arrow_type(kinds[name]))
            for name, values in columns.items()
        }


def _kind(values: Iterable[Any]) -> Kind:
    """The narrowest kind that takes all values."""
    values = list(values)
    types = set(map(type, values))
    kind = ""
    for one in types - {list, dict}:
        kind = _join(kind, PLAIN.get(one, "text"))
    if dict in types:
        return "json"
    if list in types:
        inner = _kind(chain.from_iterable(value for value in values if isinstance(value, list)))
        nested = inner == "json" or inner.startswith(LIST)
        return "json" if nested or kind else f"{LIST}{inner}"
    if int in types and any(abs(v) >= 2**63 for v in values if isinstance(v, int)):
        return "text"
    return kind


def _join(one: Kind, other: Kind) -> Kind:
    """The narrowest kind that takes the values of both."""
    if one == other or not other:
        return one
    if not one:
        return other
    if "json" in (one, other) or one.startswith(LIST) != other.startswith(LIST):
        return "json"
    if one.startswith(LIST):
        return LIST + _join(one.removeprefix(LIST), other.removeprefix(LIST))
    return "float" if {one, other} == {"int", "float"} else "text"


def _as_kind(values: Sequence[Any], kind: Kind) -> Sequence[Any]:
    """Values in the form Arrow takes for the kind; nothing stays nothing."""
    convert = CONVERSIONS.get(kind.removeprefix(LIST))
    if convert is None:
        return values
    if kind.startswith(LIST):
        return [v if v is None else [i if i is None else convert(i) for i in v] for v in values]
    return [v if v is None else convert(v) for v in values]


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


CONVERSIONS: dict[Kind, Callable[[Any], Any]] = {"text": str, "float": float, "json": _json}


def _arrow_type(kind: Kind) -> Any:
    import pyarrow

    if kind.startswith(LIST):
        return pyarrow.list_(_arrow_type(kind.removeprefix(LIST)))
    types = {
        "bool": pyarrow.bool_,
        "int": pyarrow.int64,
        "float": pyarrow.float64,
        "": pyarrow.null,
    }
    return types.get(kind, pyarrow.string)()
