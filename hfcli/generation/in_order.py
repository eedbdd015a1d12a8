"""Things that come in the order of finishing -> rows in the order of the input."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class InOrder(Generic[Item]):
    """Holds what is early, and nothing else."""

    def __init__(self) -> None:
        # (row, sample) is never the same twice, so that items are not compared.
        self._early: list[tuple[int, int, int, Item]] = []
        self._row = 0
        self._items: list[Item] = []

    def push(self, row: int, sample: int, of: int, item: Item) -> Iterator[list[Item]]:
        """The items of every row that is complete and next, now that this one is there."""
        heapq.heappush(self._early, (row, sample, of, item))
        while self._early and self._early[0][:2] == (self._row, len(self._items)):
            _row, _sample, wanted, ready = heapq.heappop(self._early)
            self._items.append(ready)
            if len(self._items) == wanted:
                yield self._items
                self._row, self._items = self._row + 1, []
