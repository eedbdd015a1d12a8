"""Finished texts of a bulk run, and which of them there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A finished text.

    Args:
        row: number of the input row.
        sample: which text of the row.
        of: how many texts the row has.
        record: the text and all about it.
    """

    row: int
    sample: int
    of: int
    record: dict[str, Any]


@dataclass
class Done:
    """Which texts are finished; one byte a row."""

    rows: bytearray = field(default_factory=bytearray)
    parts: dict[int, set[int]] = field(default_factory=dict)
    texts: int = 0
    errors: int = 0

    def add(self, entry: Entry) -> None:
        """Note a finished text."""
        samples = self.parts.setdefault(entry.row, set())
        samples.add(entry.sample)
        self.texts += 1
        self.errors += entry.record["finish_reason"] == "error"
        if len(samples) == entry.of:
            del self.parts[entry.row]
            if entry.row >= len(self.rows):
                self.rows.extend(bytes(entry.row + 1 - len(self.rows)))
            self.rows[entry.row] = 1

    def has_row(self, row: int) -> bool:
        """Whether all texts of the row are finished."""
        return row < len(self.rows) and bool(self.rows[row])

    def has(self, row: int, sample: int) -> bool:
        """Whether one text is."""
        return self.has_row(row) or sample in self.parts.get(row, ())
