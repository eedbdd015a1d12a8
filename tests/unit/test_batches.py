"""Rows read a few at a time: every one once, in order, and never much text at once."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hfcli.tasks.batches import CHARACTERS_AT_ONCE, ROWS_A_READ, ROWS_AT_ONCE, batches


class Rows:
    """What `batches` needs of a data set; counts the characters that are read at a time."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.most_read = 0

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, where: slice) -> dict[str, list[Any]]:
        read = self.texts[where]
        self.most_read = max(self.most_read, sum(map(len, read)))
        return {"text": read, "number": list(range(*where.indices(len(self.texts))))}


def lengths(kind: str) -> list[int]:
    generator = random.Random(0)
    if kind == "short":
        return [generator.randrange(20) for _ in range(2530)]
    if kind == "books":
        return [300_000] * 70
    return [*([5] * 1100), *([300_000] * 60), *([5] * 1100)]


@pytest.mark.parametrize("kind", ["short", "books", "books after lines"])
def test_every_row_comes_once_in_order_and_few_characters_at_a_time(kind: str) -> None:
    texts = ["x" * n for n in lengths(kind)]
    rows: Any = Rows(texts)
    seen: list[str] = []
    sizes = []
    for first, batch in batches(rows):
        assert first == len(seen) == batch["number"][0]
        assert set(batch) == {"text", "number"}
        seen += batch["text"]
        sizes.append(len(batch["text"]))
        without_last = sum(map(len, batch["text"][:-1]))
        assert without_last < CHARACTERS_AT_ONCE
    assert seen == texts
    assert max(sizes) == (4 if kind == "books" else ROWS_AT_ONCE)
    assert rows.most_read <= ROWS_A_READ * 300_000


def test_no_rows_give_no_batch() -> None:
    rows: Any = Rows([])
    assert list(batches(rows)) == []
