"""Files are read a row at a time, and what comes out is what reading them whole would give."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hfcli.data import json_items
from hfcli.data.files import FileOptions, read_rows
from hfcli.data.json_items import BrokenJson, list_items
from hfcli.data.text_files import SampleBy
from hfcli.errors import DataError

LINE_END = re.compile(r"\r?\n")
BLANK_LINES = re.compile(r"\r?\n(?:[ \t]*\r?\n)+")
WHOLE = '[{"a": "x\\u00e9", "b": [1, -2.5e3, null]},\n {"a": {"c": "]"}} ,\t{}\n]\n'
ROWS = 20_000
TEXT = "a line of some length with nothing in it that matters, and no end in sight"


def random_texts(letters: str, n: int, longest: int) -> Iterator[str]:
    choose = random.Random(0)
    for _ in range(n):
        yield "".join(choose.choices(letters, k=choose.randint(1, longest)))


def cut_whole(text: str, separator: re.Pattern[str]) -> list[tuple[int, str]]:
    parts, line, start = [], 1, 0
    for end in [*separator.finditer(text), None]:
        part = text[start : end.start() if end else len(text)]
        if part.strip():
            parts.append((line, part))
        if end:
            line += text.count("\n", start, end.end())
            start = end.end()
    return parts


@pytest.mark.parametrize(("by", "separator"), [("line", LINE_END), ("paragraph", BLANK_LINES)])
def test_parts_of_a_text_are_those_of_the_whole_text(
    by: SampleBy, separator: re.Pattern[str], tmp_path: Path
) -> None:
    path, seen = tmp_path / "a.txt", 0
    for text in random_texts("ab \t\r\n\n", 400, 14):
        path.write_bytes(text.encode())
        if "\n" not in text:
            continue  # then a carriage return is a line end; see test_any_bytes
        expected = [(f"{path}:{line}", {"text": part}) for line, part in cut_whole(text, separator)]
        if expected:
            assert list(read_rows(path, FileOptions(sample_by=by))) == expected, repr(text)
            seen += len(expected)
    assert seen > 300


def test_cells_are_those_of_the_whole_text(tmp_path: Path) -> None:
    path, seen = tmp_path / "a.csv", 0
    for text in random_texts('ab,"\r\n\n', 500, 14):
        path.write_bytes(text.encode())
        try:
            lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error as e:
            with pytest.raises(DataError, match=rf"{re.escape(str(e))}|cell\(s\), expected"):
                list(read_rows(path, FileOptions(column_names=("x",))))
            continue
        expected = [cells for cells in lines if cells]
        if expected and len({len(cells) for cells in expected}) == 1:
            names = tuple("xyzuvw"[: len(expected[0])])
            rows = [row for _, row in read_rows(path, FileOptions(column_names=names))]
            assert rows == [dict(zip(names, cells, strict=True)) for cells in expected], repr(text)
            seen += len(rows)
    assert seen > 150


def streamed(text: str) -> Any:
    items = list_items(io.StringIO(text))
    assert items is not None
    return list(items)


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
def test_items_of_a_list_are_those_of_the_whole_list(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_items, "CHUNK", chunk)
    assert streamed(WHOLE) == json.loads(WHOLE)
    assert streamed(" [ ] ") == []


def broken_texts() -> list[str]:
    cut = [WHOLE[:i] for i in range(1, len(WHOLE) - 1)]
    swapped = [WHOLE[:i] + c + WHOLE[i + 1 :] for i in range(1, len(WHOLE)) for c in '"]},:a\n']
    return [*cut, *swapped, WHOLE + "x", WHOLE + "[]", WHOLE.replace("}\n]", "},\n]")]


def error_of(text: str) -> json.JSONDecodeError | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as e:
        return e
    return None


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_what_is_wrong_in_a_list_is_told_as_for_the_whole_list(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_items, "CHUNK", chunk)
    wrong = 0
    for text in broken_texts():
        error = error_of(text)
        if error is None:
            assert streamed(text) == json.loads(text)
            continue
        with pytest.raises(BrokenJson) as caught:
            streamed(text)
        told = f"not JSON ({error.msg} at column {error.colno})"
        assert (str(caught.value), caught.value.line) == (told, error.lineno), repr(text)
        wrong += 1
    assert wrong > 300


def test_a_list_that_is_broken_late_gives_the_rows_before(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"a": 1},\n {"a": 2},\n {"a" 3}]')
    rows = read_rows(tmp_path / "a.json", FileOptions())
    assert [next(rows)[1], next(rows)[1]] == [{"a": 1}, {"a": 2}]
    with pytest.raises(DataError, match=r"a.json:3: not JSON \(Expecting ':' delimiter at column"):
        next(rows)


def test_a_byte_that_is_not_utf8_is_named_by_its_line_however_far(tmp_path: Path) -> None:
    lines = [b'{"text": "%d"}' % i for i in range(50_000)]
    lines[40_000] = b'{"text": "caf\xe9"}'
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r"a.jsonl:40001: not UTF-8 \(byte 0xe9\)"):
        list(read_rows(tmp_path / "a.jsonl", FileOptions()))


FORMATS: dict[str, Callable[[int], str]] = {
    "a.csv": lambda n: "text,label\n" + f'"{TEXT}",x\n' * n,
    "a.tsv": lambda n: "text\tlabel\n" + f"{TEXT}\tx\n" * n,
    "a.jsonl": lambda n: f'{{"text": "{TEXT}"}}\n' * n,
    "a.json": lambda n: "[" + ", ".join([f'{{"text": "{TEXT}"}}'] * n) + "]",
    "line.txt": lambda n: f"{TEXT}\n" * n,
    "paragraph.txt": lambda n: f"{TEXT}\n\n" * n,
}


@pytest.mark.parametrize("name", FORMATS)
def test_memory_does_not_grow_with_the_file(name: str, tmp_path: Path) -> None:
    by: Any = name.split(".")[0] if name.endswith("txt") else "document"
    peaks = []
    for n in (ROWS // 10, ROWS):
        (tmp_path / name).write_text(FORMATS[name](n))
        tracemalloc.start()
        assert sum(1 for _ in read_rows(tmp_path / name, FileOptions(sample_by=by))) == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (tmp_path / name).stat().st_size >= 1_500_000
    # A list is decoded a chunk of a megabyte at a time.
    assert peaks[1] < (5_000_000 if name == "a.json" else 200_000)
    assert name == "a.json" or peaks[1] - peaks[0] < 100_000
