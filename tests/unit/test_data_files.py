"""Local files: values stay what the file says, and every complaint names file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hfcli.data.files import FileOptions, expand, read_rows
from hfcli.data.text_files import SampleBy
from hfcli.errors import DataError

READABLE: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "a.csv": (
        "text,label\nNA,1\n,null\n",
        [{"text": "NA", "label": "1"}, {"text": "", "label": "null"}],
    ),
    "quoted.csv": ('text,label\n"a, ""b""\nc",x\n', [{"text": 'a, "b"\nc', "label": "x"}]),
    "bom.csv": ("\ufefftext,label\na,b\n", [{"text": "a", "label": "b"}]),
    "ends.csv": ("text\na\u2028b\x0cc\u0085d\n", [{"text": "a\u2028b\x0cc\u0085d"}]),
    "a.tsv": ('text\tlabel\n"a\tb"\n', [{"text": '"a', "label": 'b"'}]),
    "a.jsonl": (
        '{"text": "a", "label": 1}\n\n{"text": "b\u2028"}\n',
        [{"text": "a", "label": 1}, {"text": "b\u2028"}],
    ),
    "a.json": ('[{"text": "a"}]', [{"text": "a"}]),
    "inside.json": ('{"data": [{"text": "a"}]}', [{"text": "a"}]),
}
BROKEN = {
    "deep.jsonl": (b"[" * 100_000, ":1: JSON too large"),
    "late-twice.csv": (b"\n\ntext,text\na,b\n", ":3: column(s) ['text'] given twice"),
    "ragged.csv": (b"text,label\na,b\nc\n", ":3: 1 cell(s), expected 2 (text, label)"),
    "quote.csv": (b'text,label\n"a,b\n', ": unexpected end of data"),
    "twice.csv": (b"text,text\na,b\n", ":1: column(s) ['text'] given twice"),
    "latin.csv": (b"text\nok\nca\xe9\n", ":3: not UTF-8 (byte 0xe9)"),
    "line.jsonl": (b'{"a": 1}\n{"a": \n', ":2: not JSON"),
    "list.jsonl": (b"[1]\n", ":1: expected an object, found list"),
    "lines.json": (b'{"a": 1}\n{"a": 2}\n', ":2: not JSON (Extra data"),
    "scalar.json": (b"3", "expected a list of objects"),
    "empty.csv": (b"text,label\n", ": the file holds no rows"),
    "empty.txt": (b"\n\n", ": the file holds no rows"),
    "broken.parquet": (b"PAR1 not really", ": not a parquet file"),
    "rows.xlsx": (b"", ": cannot read files that end in '.xlsx'"),
}


def rows(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [row for _, row in read_rows(path, FileOptions(**options))]


@pytest.mark.parametrize("name", READABLE)
def test_rows_are_what_the_file_says(name: str, tmp_path: Path) -> None:
    text, expected = READABLE[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert rows(tmp_path / name) == expected


def test_origins_are_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"a\nb",x\nc,y\n')
    origins = [origin for origin, _ in read_rows(tmp_path / "a.csv", FileOptions())]
    assert origins == [f"{tmp_path}/a.csv:2", f"{tmp_path}/a.csv:4"]


def test_a_file_without_header_takes_the_names_given(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("good film\t1\n")
    expected = [{"text": "good film", "label": "1"}]
    assert rows(tmp_path / "a.tsv", column_names=("text", "label")) == expected


def test_parquet_keeps_types(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["a", "b"], "label": [True, False]}), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == [
        {"text": "a", "label": True},
        {"text": "b", "label": False},
    ]


@pytest.mark.parametrize(
    ("by", "texts"),
    [
        ("document", ["a\nb\n\nc\n"]),
        ("paragraph", ["a\nb", "c\n"]),
        ("line", ["a", "b", "c"]),
    ],
)
def test_a_text_file_is_cut_as_asked(by: SampleBy, texts: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\nb\n\nc\n")
    assert [row["text"] for row in rows(tmp_path / "a.txt", sample_by=by)] == texts


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    data, message = BROKEN[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        rows(tmp_path / name)
    assert str(tmp_path / name) in caught.value.message
    assert message in caught.value.message


def test_a_folder_name_may_hold_glob_characters(tmp_path: Path) -> None:
    path = tmp_path / "run[1]" / "a.csv"
    path.parent.mkdir()
    path.touch()
    assert expand([str(path)]) == [path]


def test_paragraphs_end_at_any_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\r\nb\r\n\r\n\r\nc")
    found = list(read_rows(tmp_path / "a.txt", FileOptions(sample_by="paragraph")))
    assert [row["text"] for _, row in found] == ["a\r\nb", "c"]
    assert found[1][0].endswith(":5")


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "train.csv").touch()
    with pytest.raises(DataError, match="no such file") as caught:
        expand([str(tmp_path / "trian.csv")])
    assert caught.value.hint == "did you mean train.csv?"


def test_globs_are_sorted_and_must_match(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).touch()
    assert [p.name for p in expand([str(tmp_path / "*.csv")])] == ["a.csv", "b.csv"]
    with pytest.raises(DataError, match="no file matches"):
        expand([str(tmp_path / "*.tsv")])
    with pytest.raises(DataError, match="is a folder"):
        expand([str(tmp_path)])
