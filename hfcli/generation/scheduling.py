"""Which of the rows that wait start next, and which of them are read in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from hfcli.generation.row import Row

PREFILL_TOKENS = 4096  # of new rows read in one pass, padding included
PADDING = 0.2  # most padding of a pass, a token of the prompts; more passes cost more than that


def by_work(row: Row) -> tuple[int, int, int]:
    """Sort key of a window, taken from the end: the longest texts first, samples in order."""
    request = row.request
    return (len(request.ids) + request.max_new_tokens, len(request.ids), -request.number)


def of_a_length(rows: Sequence[Row]) -> list[Row]:
    """The longest of some rows, with those that can be read beside it without much padding."""
    chosen: list[Row] = []
    longest, read = 0, 0
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        longest, read = max(longest, len(row.ids)), read + len(row.ids)
        whole = longest * (len(chosen) + 1)
        if chosen and (whole > PREFILL_TOKENS or whole > (1 + PADDING) * read):
            break
        chosen.append(row)
    return chosen
