"""Rows read from a data set a few at a time, bounded by their number and by their characters.

A thousand short rows are tokenized together; of rows that are books, one at a time. Knows nothing
about tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

ROWS_AT_ONCE = 1000
CHARACTERS_AT_ONCE = 1_000_000
ROWS_A_READ = 50  # fewer cost time, more cost memory where rows are long

Batch = dict[str, list[Any]]


def batches(rows: Dataset) -> Iterator[tuple[int, Batch]]:
    """The number of a batch's first row, and its columns.

    Args:
        rows: a data set on disk.
    """
    batch: Batch = {}
    first = count = size = 0
    for start in range(0, len(rows), ROWS_A_READ):
        read = rows[start : start + ROWS_A_READ]
        for cells in zip(*read.values(), strict=True):
            for name, cell in zip(read, cells, strict=True):
                batch.setdefault(name, []).append(cell)
                size += len(cell) if isinstance(cell, str) else 0
            count += 1
            if count == ROWS_AT_ONCE or size >= CHARACTERS_AT_ONCE:
                yield first, batch
                batch, first, count, size = {}, first + count, 0, 0
    if count:
        yield first, batch
