"""The journal of a bulk run: nothing finished is lost, nothing of others is taken."""

from __future__ import annotations

import errno
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import RunError
from hfcli.generation.done import Entry
from hfcli.generation.journal import Journal
from hfcli.generation.writers import write_records

ASKED = {"hfcli": "0", "settings": {"top_k": 5}}


def entry(row: int, sample: int = 0, of: int = 1) -> Entry:
    record = {"id": row, "sample": sample, "text": "é" * (row % 7), "finish_reason": "stop"}
    return Entry(row, sample, of, record)


def opened(output: Path, *, overwrite: bool = False, **asked: Any) -> Journal:
    return Journal(output, {**ASKED, **asked}, overwrite=overwrite)


def finish(journal: Journal, output: Path) -> None:
    written = output.with_name("written")
    write_records(written, ".jsonl", lambda: (r for records in journal.rows() for r in records))
    journal.close_with(written, {"rows": 1})


def test_rows_come_in_order_whatever_the_order_of_finishing(tmp_path: Path) -> None:
    entries = [entry(row, sample, 3) for row in range(50) for sample in range(3)]
    shuffled = random.Random(0).sample(entries, len(entries))
    with opened(tmp_path / "out.jsonl") as journal:
        for one in shuffled:
            journal.add(one)
        assert [r for records in journal.rows() for r in records] == [e.record for e in entries]


def test_what_stands_in_the_output_is_there_until_it_is_replaced(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with opened(output) as journal:
        journal.add(entry(0))
        finish(journal, output)
    before = output.read_bytes()
    with opened(output, overwrite=True, seed=1) as journal:  # and is interrupted
        journal.add(entry(0))
    assert output.read_bytes() == before
    with opened(output, seed=1) as journal:  # goes on without --overwrite
        assert journal.done.texts == 1
        journal.add(entry(1))
        finish(journal, output)
    assert output.read_bytes().count(b"\n") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.jsonl", "out.jsonl.run.json"]


def test_a_complete_output_is_only_looked_at(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with opened(output) as journal:
        journal.add(entry(0))
        finish(journal, output)
    with opened(output) as journal:
        assert journal.complete
        # A kill here must not leave a journal that says that nothing is done.
        assert not journal.path.exists()


def test_where_nothing_is_finished_other_settings_are_welcome(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with opened(output) as journal:
        assert journal.path.exists()
    assert list(tmp_path.iterdir()) == [], "a run that finished nothing leaves nothing"
    (tmp_path / "out.jsonl.partial").write_text(json.dumps(ASKED) + "\n")  # as after a kill
    with opened(output, seed=1) as journal:
        journal.add(entry(0))
    with pytest.raises(RunError, match="seed: 1 -> null"):
        opened(output)


@pytest.mark.parametrize("damage", [b'{"row": 3, "samp', bytes(100), bytes(100) + b"\n"])
def test_what_a_power_failure_leaves_behind_is_dropped(tmp_path: Path, damage: bytes) -> None:
    output = tmp_path / "out.jsonl"
    with opened(output) as journal:
        journal.add(entry(0))
        journal.add(entry(1))
    with journal.path.open("ab") as file:
        file.write(damage)
    with opened(output) as journal:
        assert journal.done.texts == 2
        journal.add(entry(2))
        assert len(list(journal.rows())) == 3


@pytest.mark.parametrize("content", [b"my own notes\n", b"\x00\x01", b"{}\n", b'{"row": 1}'])
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "out.jsonl.partial"
    path.write_bytes(content)
    with pytest.raises(RunError, match="no journal"):
        opened(tmp_path / "out.jsonl")
    assert path.read_bytes() == content


def test_a_full_disk_is_told_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.jsonl"

    def full(file: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(output) as journal:
        journal.add(entry(0))
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(RunError, match="No space left") as caught:
            journal.add(entry(1))
    assert "goes on" in (caught.value.hint or "")
    monkeypatch.undo()
    with opened(output) as journal:
        assert journal.done.texts == 1


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "out.jsonl", Path("/proc/nowhere/out.jsonl")):
        with pytest.raises(RunError, match="cannot be written"):
            opened(place)
