"""Quotes of a tsv file are read where the whole file shows that they are meant, and else kept."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hfcli.data.files import FileOptions, read_rows
from hfcli.data.parsed import Quoting
from hfcli.data.prompts import open_rows

OFTEN = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PLAIN = st.text('ab "', min_size=1, max_size=6).map(lambda text: text.strip() or "x")
NAMES = ["text", "label"]


def cells(path: Path, quoting: Quoting = "auto") -> list[list[str]]:
    return [[*row.values()] for _, row in read_rows(path, FileOptions(quoting=quoting))]


def written(rows: list[list[str]], quoting: Literal[0, 1]) -> str:
    """As pandas' to_csv(sep="\\t") writes it."""
    file = io.StringIO(newline="")
    csv.writer(file, delimiter="\t", quoting=quoting, lineterminator="\n").writerows([NAMES, *rows])
    return file.getvalue()


@OFTEN
@given(
    st.lists(st.tuples(st.text('ab"\t\n', min_size=1, max_size=6), st.sampled_from("01"))),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_csv_writers_wrote_is_read_back(
    tmp_path: Path, rows: list[tuple[str, str]], quoting: Literal[0, 1]
) -> None:
    path = tmp_path / "a.tsv"
    expected = [list(row) for row in rows] or [["x", "0"]]
    text = written(expected, quoting)
    if any("\n" in cell or "\t" in cell for cell, _ in rows):
        # Where each line is a row as well, nothing tells the two readings apart.
        assume(len({line.count("\t") for line in text.split("\n") if line}) > 1)
    path.write_bytes(text.encode())
    assert cells(path) == expected
    assert cells(path, "always") == expected


@OFTEN
@given(st.lists(st.tuples(PLAIN, st.sampled_from("01")), min_size=1))
def test_a_file_with_one_stray_quote_is_never_changed(
    tmp_path: Path, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path / "a.tsv"
    expected = [['a stray" quote', "0"], *(list(row) for row in rows)]
    path.write_text("".join("\t".join(row) + "\n" for row in [NAMES, *expected]))
    assert cells(path) == expected


KEPT = {
    "one cell in quotes says nothing": 'text\tlabel\n"a good film"\t1\nbad\t0\n',
    "halves of a pair in two rows": 'text\tlabel\n"a\tx\nb"\ty\n',
    "an inch": 'text\tlabel\n5" disk\t1\n',
    "a quote by itself": 'text\tlabel\n"\t1\n',
    "a pair over two cells": 'text\tlabel\n"a\tb"\n',
    "doubled, but not around": 'text\tlabel\nHe said ""hi""\t1\n',
}


@pytest.mark.parametrize("kind", KEPT)
def test_quotes_that_may_be_text_are_kept(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(KEPT[kind])
    assert cells(path) == [line.split("\t") for line in KEPT[kind].splitlines()[1:]]


def test_who_trains_and_who_generates_read_the_same_and_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(written([['He said "hi"', "1"], ["x\ty", "0"]], csv.QUOTE_MINIMAL))
    notes: list[str] = []
    trained = [row for _, row in read_rows(path, FileOptions(tell=notes.append))]
    generated = [row.values for row in open_rows(str(path), tell=notes.append).read()]
    assert trained == generated
    assert len(notes) == 2
    assert all("quotes" in note for note in notes)


def test_never_keeps_what_auto_would_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(written([['He said "hi"', "1"]], csv.QUOTE_MINIMAL))
    assert cells(path) == [['He said "hi"', "1"]]
    assert cells(path, "never") == [['"He said ""hi"""', "1"]]
