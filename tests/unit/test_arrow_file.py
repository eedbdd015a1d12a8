"""Rows on disk: what comes back is what went in, in one type a column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hfcli.data import arrow_file
from hfcli.data.arrow_file import rows_hash, write_rows

BIG = 2**70
# Values of a column -> what comes back, whatever was written before the last was seen.
COLUMNS: dict[str, tuple[list[Any], list[Any]]] = {
    "text": (["a", "", "\u2028"], ["a", "", "\u2028"]),
    "bool": ([True, False], [True, False]),
    "int": ([1, -2], [1, -2]),
    "numbers": ([1, 2.5, 2**60], [1.0, 2.5, float(2**60)]),
    "bool and int": ([True, 1], ["True", "1"]),
    "int and text": ([1, 2, "x"], ["1", "2", "x"]),
    "large": ([1, BIG], ["1", str(BIG)]),
    "large and part": ([0.5, BIG], ["0.5", str(BIG)]),
    "nothing": ([None, None], [None, None]),
    "late": ([None, "a", None], [None, "a", None]),
    "late number": ([None, 3], [None, 3]),
    "lists": ([["a"], [], ["b", "c"]], [["a"], [], ["b", "c"]]),
    "late list": ([[], [], [1]], [[], [], [1]]),
    "lists of numbers": ([[1], [2.5], None], [[1.0], [2.5], None]),
    "lists of both": ([[1], ["a", None]], [["1"], ["a", None]]),
    "objects": ([{"a": 1}, {"b": "\u00e9"}], ['{"a": 1}', '{"b": "\u00e9"}']),
    "list and text": ([["a"], "b"], ['["a"]', "b"]),
    "nested": ([[{"a": 1}], []], ['[{"a": 1}]', "[]"]),
    "deep": ([[[1]], [[]]], ["[[1]]", "[[]]"]),
}


def reader(values: list[Any]) -> Callable[[], Iterator[dict[str, Any]]]:
    return lambda: ({"x": value, "row": i} for i, value in enumerate(values))


@pytest.mark.parametrize("chunk_size", [1, 2 * arrow_file.CELL_SIZE * 2, 10**6])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_in_its_one_type(
    name: str, chunk_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_file, "CHUNK_SIZE", chunk_size)
    values, expected = COLUMNS[name]
    rows = write_rows(reader(values))
    found = list(rows["x"])
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]
    assert list(rows["row"]) == list(range(len(values)))


def test_types_that_are_known_are_kept() -> None:
    from datasets import ClassLabel, Features, Value

    features = Features({"x": ClassLabel(names=["calm", "storm"]), "row": Value("int32")})
    rows = write_rows(reader([1, 0]), features)
    assert rows.features == features
    assert list(rows["x"]) == [1, 0]


def test_no_rows_are_an_empty_data_set() -> None:
    assert len(write_rows(lambda: iter(()))) == 0


def test_equal_rows_have_equal_hashes() -> None:
    one, again, other = (rows_hash(write_rows(reader([1, 2, last]))) for last in (3, 3, 4))
    assert one == again != other
