"""Rows on disk have the values they had, whatever types come later."""

from __future__ import annotations

from typing import Any

import pytest

from hfcli.data import spool as module
from hfcli.data.spool import spool

KEPT: dict[str, list[Any]] = {
    "texts": ["a", "1"],
    "numbers": [1, 2],
    "both-kinds-of-numbers": [1, 2.5],
    "lists": [["a", "b"], [], ["c"]],
    "lists-of-numbers": [[1, 2], [3]],
    "empty-lists-first": [[], [], [], ["a"], ["b", "c"]],
}
CHANGED: dict[str, tuple[list[Any], list[Any]]] = {
    "text-and-numbers": (["a", 1, 2.5], ["a", "1", "2.5"]),
    "lists-of-several-types": ([[1], ["a"], []], [["1"], ["a"], []]),
    "empty-lists-and-then-numbers": ([[], [], [], [4]], [[], [], [], ["4"]]),
    "lists-and-texts": ([["a", "b"], "c"], ['["a", "b"]', "c"]),
    "numbers-and-then-lists": ([1, 2.5, ["a"]], ["1", "2.5", '["a"]']),
}


def spooled(values: list[Any]) -> list[Any]:
    return list(spool(lambda: ({"x": value} for value in values))["x"])


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Types that change after a first part has been written are the hard case."""
    monkeypatch.setattr(module, "ROWS_PER_CHUNK", 2)


@pytest.mark.parametrize("values", KEPT.values(), ids=KEPT.keys())
def test_values_are_kept(values: list[Any]) -> None:
    assert spooled(values) == values


@pytest.mark.parametrize(("values", "expected"), CHANGED.values(), ids=CHANGED.keys())
def test_mixtures_become_what_holds_them_all(values: list[Any], expected: list[Any]) -> None:
    assert spooled(values) == expected
