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
from hfcli.generation.journal import BEGINS_WITH, Entry, Journal, kept_dtype
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


DAMAGE = {
    "zeros": bytes(40),
    "text": b"not JSON",
    "a list": b"[1, 2]",
    "another object": b'{"prompt": "x"}',
    "cut": b'{"row": 1, "sample": 0, "of": 1, "record": {"te',
    "a record without its text": b'{"row": 1, "sample": 0, "of": 1, "record": {}}',
    "numbers of another type": b'{"row": 1.5, "sample": 0, "of": 1, "record": {"text": ""}}',
    "a sample too many": b'{"row": 1, "sample": 3, "of": 1, "record": {"text": ""}}',
    "bytes": b"\xff\xfe\x00\x80",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("line", [1, 3], ids=["first line", "third line"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_in_the_middle_is_told_with_its_line_and_loses_nothing(
    line: int, damage: bytes, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    with opened(output) as journal:
        for row in range(4):
            journal.add(entry(row))
    lines = journal.path.read_bytes().splitlines()
    lines[line - 1] = BEGINS_WITH + damage if line == 1 else damage
    damaged = b"\n".join(lines) + b"\n"
    journal.path.write_bytes(damaged)
    with pytest.raises(RunError, match=f"partial:{line}: is damaged") as caught:
        opened(output)
    assert "--overwrite" in (caught.value.hint or "")
    assert journal.path.read_bytes() == damaged
    with opened(output, overwrite=True) as journal:
        assert journal.done.texts == 0


def finished(folder: Path) -> Path:
    output = folder / "out.jsonl"
    with opened(output) as journal:
        journal.add(entry(0))
        finish(journal, output)
    return output


@pytest.mark.parametrize("damage", [*DAMAGE.values(), b"", b"{}", b'{"hfcli": 1}', b"null"])
def test_a_damaged_manifest_is_told(damage: bytes, tmp_path: Path) -> None:
    output = finished(tmp_path)
    manifest = tmp_path / "out.jsonl.run.json"
    manifest.write_bytes(damage)
    before = output.read_bytes()
    with pytest.raises(RunError, match=r"run\.json: is damaged"):
        opened(output)
    assert output.read_bytes() == before
    assert manifest.read_bytes() == damage


@pytest.mark.parametrize("cut", [0, 1, 40, 100])
def test_a_manifest_that_was_cut_off_can_be_replaced(cut: int, tmp_path: Path) -> None:
    output = finished(tmp_path)
    manifest = tmp_path / "out.jsonl.run.json"
    manifest.write_bytes(manifest.read_bytes()[:cut] if cut != 1 else b'{\n  "counts": {')
    with opened(output, overwrite=True) as journal:
        journal.add(entry(0))
        finish(journal, output)
    with opened(output) as journal:
        assert journal.complete


def test_another_programs_manifest_is_never_replaced(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    manifest = tmp_path / "out.jsonl.run.json"
    for content in ("mine", '{"name": "mine"}'):
        manifest.write_text(content)
        with pytest.raises(RunError, match="is not a manifest of hfcli"):
            opened(output, overwrite=True)
        assert manifest.read_text() == content
    manifest.unlink()
    manifest.mkdir()
    with pytest.raises(RunError, match="is not a manifest of hfcli"):
        opened(output, overwrite=True)


def test_an_output_that_was_changed_is_not_taken_for_finished(tmp_path: Path) -> None:
    output = finished(tmp_path)
    with output.open("a") as file:
        file.write("{}\n")
    with pytest.raises(RunError, match="has changed since"):
        opened(output)


def test_another_version_of_hfcli_goes_on_and_another_format_does_not(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with opened(output, hfcli="0.1.0") as journal:
        journal.add(entry(0))
    with opened(output, hfcli="0.1.1", format=1) as journal:
        assert journal.done.texts == 1
        finish(journal, output)
    with opened(output, hfcli="0.2.0", format=1) as journal:
        assert journal.complete
    with pytest.raises(RunError, match="format: 1 -> 2"):
        opened(output, format=2)


def test_the_number_type_is_that_of_the_run_that_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    assert kept_dtype(output) is None
    with opened(output, dtype="bfloat16") as journal:
        journal.add(entry(0))
        assert kept_dtype(output) == "bfloat16"
        finish(journal, output)
    assert kept_dtype(output) == "bfloat16"
    (tmp_path / "out.jsonl.run.json").write_bytes(b"\xff")
    assert kept_dtype(output) is None


@pytest.mark.parametrize("what", ["pipe", "folder", "link"])
def test_what_is_not_a_file_is_never_taken_for_a_journal(what: str, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.partial"
    (tmp_path / "precious").write_text("mine")
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "precious")
    for overwrite in (False, True):
        with pytest.raises(RunError):
            opened(tmp_path / "out.jsonl", overwrite=overwrite)
    assert os.path.lexists(path)
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", [b"my own notes\n", b"\x00\x01", b"{}\n", b'{"row": 1}'])
def test_a_file_that_is_no_journal_is_left_alone(
    tmp_path: Path, content: bytes, overwrite: bool
) -> None:
    path = tmp_path / "out.jsonl.partial"
    path.write_bytes(content)
    with pytest.raises(RunError, match="not a file that hfcli wrote"):
        opened(tmp_path / "out.jsonl", overwrite=overwrite)
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
