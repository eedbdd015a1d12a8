"""A transformers Cache in which every row of a batch has a slot of its own length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

GROWTH = 64  # columns by which slots grow


class View:
    """Where the layers of the cache write, told before each forward pass."""

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.reading = True
        self.first = self.rows = self.columns = 0
        self.live = 0  # columns of the longest row in memory
        self.positions: Any = None
        self.start: int | None = None  # column of the first new token, of a row that is alone
        self.row_numbers: Any = None

    def start_reading(self, *, first: int, rows: int, columns: int) -> None:
        self.reading, self.first, self.rows, self.columns = True, first, first + rows, columns

    def start_extending(self, positions: Tensor, columns: int) -> None:
        import torch

        self.reading, self.columns, self.rows = False, columns, len(positions)
        self.start = columns - positions.shape[1] if len(positions) == 1 else None
        self.positions = positions
        self.row_numbers = torch.arange(len(positions), device=positions.device)[:, None]

    def copy(self, source: int, targets: Sequence[int], length: int) -> None:
        for layer in self.layers:
            layer.fit(max(*targets, source) + 1, length)
            layer.use(max(*targets, source) + 1)
            for target in targets:
                layer.keys[target, :, :length] = layer.keys[source, :, :length]
                layer.values[target, :, :length] = layer.values[source, :, :length]


def slot_cache(view: View) -> Any:
    """Return a transformers Cache that writes into the slots that the view names."""
    from transformers import Cache
    from transformers.cache_utils import DynamicLayer

    class SlotLayer(DynamicLayer):
        keys: Any
        values: Any
        used: int  # rows that hold nothing but numbers

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            view.layers.append(self)

        def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
            heads, width = key_states.shape[1], key_states.shape[3]
            self.keys = key_states.new_zeros(0, heads, 0, width)
            self.values = value_states.new_zeros(0, heads, 0, value_states.shape[3])
            self.used = 0
            self.is_initialized = True

        def fit(self, rows: int, columns: int) -> None:
            """Room for so many rows and columns; new rows hold anything until `use`.

            Columns are made for the rows that are there: room for many short rows and room for
            one long one must not become room for many long ones. Rows alone come a few at a time:
            a CPU, which gives memory only when it is used, is asked for twice as many.
            """
            held_rows, _heads, held, _width = self.keys.shape
            if rows <= held_rows and columns <= held:
                return
            columns = -(-max(columns, view.live) // GROWTH) * GROWTH
            kept_rows, kept = min(rows, self.used), min(columns, held)
            if columns == held and self.keys.device.type == "cpu":
                rows = max(rows, 2 * held_rows)
            for name in ("keys", "values"):
                old: Tensor = getattr(self, name)
                new = old.new_empty(rows, old.shape[1], columns, old.shape[3])
                new[:kept_rows, :, :kept] = old[:kept_rows, :, :kept]
                setattr(self, name, new)
            self.keys[:kept_rows, :, kept:] = self.values[:kept_rows, :, kept:] = 0
            self.used = kept_rows

        def use(self, rows: int) -> None:
            """Zeros in rows never used before: what is masked counts 0 times, and not NaN."""
            if rows > self.used:
                self.keys[self.used : rows] = self.values[self.used : rows] = 0
                self.used = rows

        def update(
            self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
        ) -> tuple[Tensor, Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            self.fit(view.rows, view.columns)
            self.use(view.rows)
            if view.reading:
                rows = slice(view.first, view.rows)
                self.keys[rows, :, : view.columns] = key_states
                self.values[rows, :, : view.columns] = value_states
                return key_states, value_states
            n, columns = view.rows, view.columns
            if view.start is not None:  # a slice costs less than indices
                self.keys[:1, :, view.start : columns] = key_states
                self.values[:1, :, view.start : columns] = value_states
            else:
                at = (view.row_numbers, view.positions)
                self.keys.transpose(1, 2)[at] = key_states.transpose(1, 2)
                self.values.transpose(1, 2)[at] = value_states.transpose(1, 2)
            return self.keys[:n, :, :columns], self.values[:n, :, :columns]

        def get_seq_length(self) -> int:
            return 0 if view.reading else view.columns

    return Cache(layer_class_to_replicate=SlotLayer)
