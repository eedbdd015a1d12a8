"""parquet -> rows. A cell that Python cannot hold is a complaint of its row alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from hfcli.data.parsed import FileOptions, Parsed, Unreadable, too_deep
from hfcli.shown import shown

ROWS = 1000  # in memory at a time
LARGEST_BATCH = 1 << 26  # bytes that become Python's own values at once
# What Arrow and Python raise for text that is not UTF-8, for dates out of range and the like.
UNFIT = (ValueError, OverflowError, ArithmeticError, TypeError, NotImplementedError)


def read_parquet(file: BinaryIO, options: FileOptions) -> Iterator[Parsed]:
    """The rows of a parquet file, counted from 1."""
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        opened = pyarrow.parquet.ParquetFile(file)
        _check_names(opened.schema_arrow.names)
        for batch in opened.iter_batches(batch_size=ROWS):
            for values, error in _rows(batch):
                number += 1
                yield Parsed(number, values, error)
    except UnicodeDecodeError as e:
        raise Unreadable(f"a damaged parquet file (the name of a column is not UTF-8: {e})") from e
    except (pyarrow.ArrowException, OSError, OverflowError, MemoryError) as e:
        first = (str(e).splitlines() or [type(e).__name__])[0][:200]
        raise Unreadable(f"not a parquet file, or a damaged one ({first})") from e


def _check_names(names: list[str]) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise Unreadable(f"column(s) {shown(twice[:5])} given twice")


def _rows(batch: Any) -> Iterator[tuple[dict[str, Any] | None, str | None]]:
    step = ROWS if batch.nbytes <= LARGEST_BATCH else 1
    for start in range(0, batch.num_rows, step):
        part = batch.slice(start, step)
        try:
            rows = part.to_pylist()
        except UNFIT:
            for i in range(part.num_rows):
                yield _row(part.slice(i, 1))
            continue
        for row in rows:
            deep = too_deep(row)
            yield (None, deep) if deep else (row, None)


def _row(one: Any) -> tuple[dict[str, Any] | None, str | None]:
    """One row, or the column that cannot be read."""
    values: dict[str, Any] = {}
    for name, column in zip(one.schema.names, one.columns, strict=True):
        try:
            (values[name],) = column.to_pylist()
        except UnicodeDecodeError as e:
            return None, f"column {shown(name)} is not UTF-8 text (byte 0x{e.object[e.start]:02x})"
        except UNFIT as e:
            why = str(e).splitlines()[0][:200] if str(e) else type(e).__name__
            return None, f"column {shown(name)} cannot be read as {column.type} ({why})"
    deep = too_deep(values)
    return (None, deep) if deep else (values, None)
