"""Files of prompts: what can be read is, and what cannot is told in its place."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hfcli.data.prompts import DEEPEST, InputRow, open_rows
from hfcli.data.row_readers import CHUNK
from hfcli.errors import DataError


def rows_of(path: Path, content: str | bytes) -> list[InputRow]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_rows(str(path)).read())


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    for name, content in (
        ("a.csv", "\ufeffprompt\nBread\n"),
        ("a.jsonl", '\ufeff{"prompt": "Bread"}\n'),
        ("a.json", '\ufeff[{"prompt": "Bread"}]'),
        ("a.txt", "\ufeffBread\n"),
    ):
        (row,) = rows_of(tmp_path / name, content)
        assert row.values == {"prompt": "Bread"}


def test_a_character_cut_by_the_end_of_a_chunk_stays_whole(tmp_path: Path) -> None:
    texts = [f"{i} 漢字🙂 {'é' * 50}" for i in range(3 * CHUNK // 150)]
    content = json.dumps([{"prompt": text} for text in texts], ensure_ascii=False)
    assert len(content.encode()) > 2 * CHUNK
    rows = rows_of(tmp_path / "a.json", content)
    assert [row.values["prompt"] for row in rows] == texts
    assert all(row.error is None for row in rows)


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    for suffix in ("csv", "json", "jsonl", "tsv", "txt"):
        assert rows_of(tmp_path / f"a.{suffix}", "") == []


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "prompt,prompt\na,b\n", "given twice"),
        ("a.csv", "prompt\nBread\n".encode("utf-16"), "UTF-16"),
        ("a.csv", "préface\nBread\n".encode("latin-1"), "not UTF-8"),
        ("a.json", '{"prompt": "a"}', "list of objects"),
        ("a.parquet", "PAR1 and then nothing", "parquet"),
        ("a.parquet", "", "parquet"),
    ],
)
def test_a_file_of_another_kind_is_named(
    tmp_path: Path, name: str, content: str | bytes, told: str
) -> None:
    with pytest.raises(DataError, match=told) as caught:
        rows_of(tmp_path / name, content)
    assert caught.value.message.startswith(str(tmp_path / name))


def test_a_damaged_page_of_a_parquet_file_is_told(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = tmp_path / "whole.parquet"
    pq.write_table(
        pa.table({"prompt": [f"Bread {i}" for i in range(20_000)]}), whole, row_group_size=1000
    )
    data = bytearray(whole.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    with pytest.raises(DataError, match="damaged"):
        rows_of(tmp_path / "a.parquet", bytes(data))


def test_a_quote_that_is_never_closed_is_an_error_and_not_a_row(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.csv", 'prompt,n\nBread,1\n"never closed,2\nlamp,3\n')
    assert [row.error is None for row in rows] == [True, False]
    assert "a quote is opened here and never closed" in str(rows[1].error)
    assert rows[1].origin.endswith("a.csv:3")
    closed = rows_of(tmp_path / "a.csv", 'prompt,n\nBread,1\n"two\nlines",2')
    assert [row.values["prompt"] for row in closed] == ["Bread", "two\nlines"]


def test_what_is_no_text_is_an_error_of_its_row_wherever_it_stands(tmp_path: Path) -> None:
    lines = [
        r'{"prompt": "\ud800"}',
        r'{"prompt": "a", "tags": ["b", "\ud800"]}',
        r'{"prompt": "a", "more": {"\ud800": 1}}',
        r'{"messages": [{"role": "user", "content": "\ud800"}]}',
        '{"prompt": "a", "deep": ' + "[" * (DEEPEST + 2) + "]" * (DEEPEST + 2) + "}",
        '{"prompt": "a", "deep": ' + "[" * (DEEPEST - 2) + "]" * (DEEPEST - 2) + "}",
    ]
    rows = rows_of(tmp_path / "a.jsonl", "\n".join(lines))
    assert [bool(row.error) for row in rows] == [True] * 5 + [False]
    assert "nested" in (rows[4].error or "")


def test_stdin_has_a_fingerprint_where_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def standing_in(content: str) -> Any:
        return io.TextIOWrapper(io.BytesIO(content.encode()))

    fingerprints = []
    for content in ("Bread\nlamp\n", "Bread\nlamp\n", "Bread\n"):
        monkeypatch.setattr(sys, "stdin", standing_in(content))
        rows = open_rows("-", format="txt", keep_stdin=True)
        fingerprints.append(rows.fingerprint)
        assert rows.total == content.count("\n")
        assert [row.values["prompt"] for row in rows.read()] == content.split()
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    monkeypatch.setattr(sys, "stdin", standing_in("Bread\n"))
    assert open_rows("-", format="txt").fingerprint is None


def test_what_is_no_file_says_how_to_pipe_it(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(DataError, match="is not a file") as caught:
        open_rows(str(tmp_path / "pipe.jsonl"))
    assert "-i -" in (caught.value.hint or "")


@pytest.mark.parametrize("keep", [False, True])
def test_stdin_that_is_no_json_asks_for_its_format(
    keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(format: str | None) -> list[InputRow]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Bread\n")))
        return list(open_rows("-", format=format, keep_stdin=keep).read())

    with pytest.raises(DataError, match=r"stdin:1: not JSON .*, and stdin is read as jsonl") as e:
        given(None)
    assert "--input-format" in str(e.value.hint)
    assert given("txt")[0].values == {"prompt": "Bread"}
    assert given("jsonl")[0].error is not None, "who names the format gets the row's error"
