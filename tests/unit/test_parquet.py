"""A parquet file of any content gives its rows, or says which column of which row it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hfcli.data.files import FileOptions, parse_rows, read_rows
from hfcli.data.prompts import open_rows
from hfcli.errors import DataError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

BAD_TEXT = [
    b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"a\x80", b"\xe2\x82",
    b"\xf0\x9f\x98",
]  # fmt: skip


def text(values: list[bytes]) -> Any:
    """A column of text that holds any bytes."""
    return pa.array(values, pa.binary()).view(pa.string())


def written(path: Path, column: Any, **options: Any) -> Path:
    names = ["text", "other"]
    pq.write_table(pa.table([pa.array(["a", "b", "c"]), column], names=names), path, **options)
    return path


UNFIT: dict[str, Any] = {
    **{f"text-{bad.hex()}": text([b"x", bad, b"y"]) for bad in BAD_TEXT},
    "dictionary": text([b"x", b"\xff", b"y"]).dictionary_encode(),
    "list": pa.ListArray.from_arrays([0, 1, 2, 3], text([b"x", b"\xff", b"y"])),
    "struct": pa.StructArray.from_arrays([text([b"x", b"\xff", b"y"])], ["name"]),
    "timestamp": pa.array([0, 2**62, 0], pa.timestamp("us")),
    "duration": pa.array([0, 2**62, 0], pa.duration("s")),
    "date": pa.array([0, 2**31 - 1, 0], pa.date32()),
    "date64": pa.array([0, 2**60, 0], pa.date64()),
}
FIT: dict[str, Any] = {
    "dictionary": pa.array(["x", "y", "x"]).dictionary_encode(),
    "decimal": pa.array([1, 2, 10**30], pa.decimal256(60, 2)),
    "map": pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int32())),
    "binary": pa.array([b"\xff"] * 3),
    "large": pa.array(["x", None, "y"], pa.large_string()),
    "null": pa.array([None] * 3),
    "nested": pa.array([[{"a": [1]}]] * 3),
    "nan": pa.array([float("nan"), float("inf"), 0.0]),
    "unsigned": pa.array([2**64 - 1] * 3, pa.uint64()),
    "time": pa.array([0, 1, 2], pa.time64("us")),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_cell_that_python_cannot_hold_spoils_its_row_only(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", UNFIT[kind])
    found = list(parse_rows(path, FileOptions()))
    bad = [origin for origin, row in found if isinstance(row, DataError)]
    assert bad == [f"{path}:2"]
    with pytest.raises(DataError, match=r"a\.parquet:2: column 'other' (is not|cannot be)"):
        list(read_rows(path, FileOptions()))
    assert [row.error is None for row in open_rows(str(path)).read()] == [True, False, True]


@pytest.mark.parametrize("kind", FIT)
def test_every_other_type_is_read(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", FIT[kind])
    assert [row["text"] for _, row in read_rows(path, FileOptions())] == ["a", "b", "c"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_told(share: float, tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", pa.array([1, 2, 3]))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    for reads in (
        lambda: list(read_rows(path, FileOptions())),
        lambda: open_rows(str(path)).read(),
    ):
        with pytest.raises(DataError, match=r"a\.parquet: not a parquet file, or a damaged one"):
            list(reads())


def test_a_flipped_byte_is_told_or_changes_nothing_but_values(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", pa.array(["x", "y", "z"]), compression="none")
    whole = path.read_bytes()
    told = 0
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            list(read_rows(path, FileOptions()))
        except DataError:
            told += 1
    assert told > len(whole) // 20


def test_a_file_for_whom_the_key_is_missing_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", pa.array([1, 2, 3]))
    data = path.read_bytes()
    path.write_bytes(b"PARE" + data[4:-4] + b"PARE")  # as files with an encrypted footer begin
    with pytest.raises(DataError, match="damaged"):
        list(read_rows(path, FileOptions()))


def test_two_columns_of_one_name_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), path)
    with pytest.raises(DataError, match=r"\['text'\] given twice"):
        list(read_rows(path, FileOptions()))
