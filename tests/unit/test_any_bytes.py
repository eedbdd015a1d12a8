"""Whatever bytes a file holds, its readers give rows or say in a line what is wrong, and agree."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfcli.data import json_items, parsed, tables, text_files
from hfcli.data.files import FileOptions, expand, parse_rows, read_rows
from hfcli.data.prompts import open_rows
from hfcli.errors import DataError

SUFFIXES = ("csv", "tsv", "jsonl", "json", "txt", "parquet")
PIECES = st.sampled_from(
    [b"text", b"label", b",", b"\t", b'"', b'""', b"\n", b"\r\n", b"\r", b"\x00", b"\xff", b"\xc3",
     b"{", b"}", b"[", b"]", b":", b'"text": ', b"1", b"null", b"NaN", b"\\ud800", b"\xef\xbb\xbf",
     b"\xff\xfe", b" ", b"x", "é".encode(), b"PAR1"]
)  # fmt: skip
ANY_BYTES = st.lists(PIECES | st.binary(max_size=4), max_size=30).map(b"".join)
OFTEN = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def strict(path: Path, **options: Any) -> list[tuple[str, dict[str, Any]]] | str:
    try:
        return list(read_rows(path, FileOptions(**options)))
    except DataError as e:
        told = e.message
    assert len(told) < 1000
    assert "\n" not in told
    return told


@pytest.mark.parametrize("suffix", SUFFIXES)
@OFTEN
@given(content=ANY_BYTES)
def test_any_bytes_are_rows_or_one_line(suffix: str, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    found = strict(path)
    if isinstance(found, str):
        assert found.startswith(str(path))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "parquet"])
@OFTEN
@given(content=ANY_BYTES)
def test_who_stops_and_who_goes_on_read_the_same_rows(
    suffix: str, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    found = strict(path)
    try:
        rows = list(open_rows(str(path)).read())
    except DataError as e:
        told = e.message
        assert isinstance(found, str), (found, told)
        return
    if isinstance(found, str):
        # A text by itself is a prompt, and no training row.
        wrong = any(row.error for row in rows) or "found str" in found
        assert wrong or not rows, (found, rows)
    else:
        good = [row for row in rows if row.error is None or "valid UTF-8" in row.error]
        assert len(good) == len(found)
        assert [row.origin for row in good] == [origin for origin, _ in found]


@OFTEN
@given(content=ANY_BYTES, packed=st.booleans())
def test_a_packed_file_has_the_rows_of_the_plain_one(
    tmp_path: Path, content: bytes, packed: bool
) -> None:
    plain, zipped = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    plain.write_bytes(content)
    zipped.write_bytes(gzip.compress(content) if packed else content)
    there, found = strict(plain), strict(zipped)
    if packed and not isinstance(there, str):
        assert not isinstance(found, str)
        assert [row for _, row in there] == [row for _, row in found]
    elif packed:
        assert str(there).replace("a.csv", "a.csv.gz") == found
    elif not isinstance(found, str):
        assert content.startswith(b"\x1f\x8b")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json", "txt"])
def test_a_damaged_packed_file_is_told(suffix: str, tmp_path: Path) -> None:
    texts = {"csv": b"text\n" + b"a\n" * 5000, "json": b"[" + b'{"text": 1},' * 5000 + b"{}]"}
    whole = gzip.compress(texts.get(suffix, b'{"text": "a"}\n' * 5000))
    path = tmp_path / f"a.{suffix}.gz"
    damaged = [whole[:-4], whole[: len(whole) // 2], whole[:20] + b"\xff" * 9 + whole[29:], b"no"]
    for content in damaged:
        path.write_bytes(content)
        assert "gzip" in str(strict(path)), content[:30]
        with pytest.raises(DataError, match="gzip"):
            list(open_rows(str(path)).read())


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "txt"])
@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "utf-16", "utf-32", "shift_jis", "koi8-r"]
)
def test_every_encoding_is_read_by_its_name_and_told_without(
    encoding: str, suffix: str, tmp_path: Path
) -> None:
    word = {"shift_jis": "漢字", "koi8-r": "свет"}.get(encoding, "été")
    content = {
        "csv": f"text,label\n{word},1\n",
        "tsv": f"text\tlabel\n{word}\t1\n",
        "jsonl": json.dumps({"text": word, "label": "1"}, ensure_ascii=False) + "\n",
        "json": json.dumps([{"text": word, "label": "1"}], ensure_ascii=False),
        "txt": word,
    }[suffix]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content.encode(encoding))
    found = strict(path, encoding=encoding)
    assert not isinstance(found, str), found
    assert [row["text"] for _, row in found] == [word]
    (row,) = open_rows(str(path), encoding=encoding).read()
    assert word in row.values.values()
    with pytest.raises(DataError, match=r":[12]: not UTF-8 \(byte 0x[89a-f][0-9a-f]\)") as caught:
        list(read_rows(path, FileOptions()))
    assert "--encoding" in str(caught.value.hint)


def test_a_bad_byte_spoils_its_own_row_only(tmp_path: Path) -> None:
    contents = {
        "csv": b"text\na\nb\xff\nc\n",
        "tsv": b"text\na\nb\xff\nc\n",
        "jsonl": b'{"text": "a"}\n{"text": "b\xff"}\n{"text": "c"}\n',
        "json": b'[{"text": "a"},\n{"text": "b\xff"},\n{"text": "c"}]',
        "txt": b"a\nb\xff\nc\n",
    }
    for suffix, content in contents.items():
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(content)
        errors = [row.error for row in open_rows(str(path)).read()]
        assert [error is None for error in errors] == [True, False, True], suffix
        assert "not UTF-8 (byte 0xff)" in str(errors[1])
        kept = parse_rows(path, FileOptions(sample_by="line"))
        assert [row["text"] for _, row in kept if not isinstance(row, DataError)] == ["a", "c"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_every_line_end_is_read_the_same(suffix: str, end: str, tmp_path: Path) -> None:
    lines = {
        "csv": ["text,label", "a,1", "b,2"],
        "tsv": ["text\tlabel", "a\t1", "b\t2"],
        "jsonl": ['{"text": "a", "label": "1"}', '{"text": "b", "label": "2"}'],
    }[suffix]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes("".join(line + end for line in lines).encode())
    expected = [{"text": "a", "label": "1"}, {"text": "b", "label": "2"}]
    assert [row for _, row in read_rows(path, FileOptions())] == expected
    assert [row.values for row in open_rows(str(path)).read()] == expected


def test_a_text_without_line_feeds_has_carriage_returns(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content, texts in (
        ("a\rb\r\rc\r", ["a", "b", "c"]),
        ("a\rb\nc\r\n", ["a\rb", "c"]),
        ("a\rb", ["a", "b"]),
    ):
        path.write_bytes(content.encode())
        found = read_rows(path, FileOptions(sample_by="line"))
        assert [row["text"] for _, row in found] == texts
        rows = open_rows(str(path))
        prompts = [row.values["prompt"] for row in rows.read()]
        assert [text for text in prompts if text] == texts
        assert rows.total == len(prompts)


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one, contextlib.chdir(path.parent):
        one.bind(path.name)  # an address has 108 bytes


def special(folder: Path) -> dict[str, Callable[[Path], object]]:
    return {
        "fifo": os.mkfifo,
        "device": lambda path: path.symlink_to("/dev/zero"),
        "memory": lambda path: path.symlink_to("/proc/self/mem"),
        "socket": bound,
        "folder": lambda path: path.mkdir(),
        "loop": lambda path: path.symlink_to(path),
        "broken": lambda path: path.symlink_to(folder / "nowhere"),
    }


@pytest.mark.parametrize("kind", special(Path()))
def test_what_is_not_a_file_is_told_without_reading_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    special(tmp_path)[kind](path)
    with pytest.raises(DataError, match=r"a\.csv"):
        list(read_rows(expand([str(path)])[0], FileOptions()))
    with pytest.raises(DataError, match=r"a\.csv"):
        list(open_rows(str(path)).read())


@pytest.mark.parametrize("name", ["a\0b.csv", "x" * 300 + ".csv", "~nobody-of-this-name/a.csv"])
def test_a_name_that_no_file_can_have_is_told(name: str) -> None:
    for reads in (lambda: expand([name]), lambda: open_rows(name)):
        with pytest.raises(DataError):
            reads()


def test_rows_longer_than_memory_is_for_are_told_with_their_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (parsed, tables, text_files):
        monkeypatch.setattr(module, "LARGEST_ROW", 1000)
    monkeypatch.setattr(json_items, "LARGEST_ITEM", 1000)
    monkeypatch.setattr(json_items, "CHUNK", 500)
    monkeypatch.setattr(text_files, "LARGEST_TEXT", 1000)
    long = "x" * 5000
    contents = {
        "csv": f"text\na\n{long}\nb\n",
        "tsv": f"text\na\n{long}\nb\n",
        "jsonl": '{"text": "a"}\n' + json.dumps({"text": long}) + '\n{"text": "b"}\n',
        "json": json.dumps([{"text": "a"}, {"text": long}]),
        "txt": f"{long}\n",
    }
    for suffix, content in contents.items():
        path = tmp_path / f"a.{suffix}"
        path.write_text(content)
        assert "longer than 1,000 characters" in str(strict(path)), suffix
        assert any("longer than" in str(row.error) for row in open_rows(str(path)).read()), suffix
    (tmp_path / "q.csv").write_text("text\na\n" + '"never closed\n' + "line\n" * 900)
    assert ":3: the row is longer than" in str(strict(tmp_path / "q.csv"))


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('"x,y\nmore\n', 2),
        ('a,b\n"x,y\nmore\n', 3),
        ('"a\nb",c\nx,"y\nmore\n', 4),
        ('"a\nb","c\nmore\n', 3),
        ('"a ""b""\n",c\n\n"x', 5),
    ],
)
def test_the_line_of_a_quote_that_is_never_closed_is_named(
    rows: str, line: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\n{rows}")
    assert str(strict(path)).startswith(f"{path}:{line}: ")
    assert [row.origin for row in open_rows(str(path)).read() if row.error] == [f"{path}:{line}"]


HEADERS: dict[str, list[dict[str, str]]] = {
    "text,label,,\na,1,,\nb,2,,\n": [{"text": "a", "label": "1"}, {"text": "b", "label": "2"}],
    "text,label,,\na,1\nb,2,\n": [{"text": "a", "label": "1"}, {"text": "b", "label": "2"}],
    "text,,label\na,,1\nb,x,2\n": [
        {"text": "a", "label": "1"}, {"text": "b", "column_2": "x", "label": "2"},
    ],
    ",text\n0,a\n1,b\n": [{"column_1": "0", "text": "a"}, {"column_1": "1", "text": "b"}],
    "column_2,\na,b\n": [{"column_2": "a", "column_2_": "b"}],
}  # fmt: skip


@pytest.mark.parametrize("content", HEADERS)
def test_a_column_without_a_name_is_dropped_where_it_is_empty(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    assert [row for _, row in read_rows(tmp_path / "a.csv", FileOptions())] == HEADERS[content]


LISTS: dict[str, str | int] = {
    '{"rows": [{"a": 1}, {"a": 2}]}': 2,
    '{"version": 1, "rows": [{"a": 1}], "tags": ["x"], "none": []}': 1,
    '{"data": [{"a": 1}], "other": [{"b": 1}, {"b": 2}]}': 1,
    '{"x": [{"a": 1}], "y": [{"b": 1}]}': "several lists of objects ('x', 'y')",
    '{"x": {"y": [{"a": 1}]}}': "expected a list of objects",
    '{"x": 1}': "expected a list of objects",
    '{"x": []}': "no rows",
    "[]": "no rows",
    "": "no rows",
}


@pytest.mark.parametrize("content", LISTS)
def test_an_object_may_hold_its_rows_under_any_key(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    found, expected = strict(path), LISTS[content]
    if isinstance(expected, str):
        assert expected in found
        return
    assert len(found) == expected
    assert len(list(open_rows(str(path)).read())) == expected
