"""What `--overwrite` may remove: files that hfcli wrote, in folders that carry its mark."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hfcli import files, runfolder
from hfcli.errors import RunError
from hfcli.runfolder import names
from hfcli.runfolder.kinds import EVALUATION, MERGED, RUN, SWEEP, Kind
from hfcli.runfolder.names import CARD_FILE
from tests.helpers import ROOT

MARKS = {
    RUN: '{\n  "hfcli": "0.1.0",\n  "command": []\n}\n',
    SWEEP: '{\n  "output_dir": "/x",\n  "metric": "loss"\n}\n',
    EVALUATION: '{\n  "hfcli": "0.1.0",\n  "kind": "evaluation"\n}\n',
    MERGED: '{\n  "hfcli": "0.1.0",\n  "kind": "merged"\n}\n',
}
CARD = "---\ntags:\n- hfcli\n---\n# Mine\n"
OWN = {
    RUN: [
        "recipe.yaml", "result.json", "metrics.jsonl", "samples.jsonl", "config.json",
        "model.safetensors", "model-00001-of-00002.safetensors", "tokenizer.json", "vocab.txt",
        "report.html", "loss.png", "checkpoint-5/optimizer.pt", "checkpoint-5/rng_state.pth",
        "checkpoint-5/model.safetensors", ".saving/checkpoint-9/scheduler.pt", ".run.json.tmp",
        ".deleting-checkpoint-3/config.json", "tensorboard/a/events.out.tfevents.1.x",
        "wandb/run-2026-a/files/any.txt", "additional_chat_templates/tool.jinja", "mlflow.db",
        "eval-test/predictions.jsonl",
    ],
    SWEEP: ["seed=1/recipe.yaml", "seed=1/checkpoint-2/optimizer.pt"],
    EVALUATION: ["predictions.jsonl", "report.md", ".scores.partial", "texts.jsonl.run.json"],
    MERGED: ["config.json", "model.safetensors", "recipe.yaml", "run.json"],
}  # fmt: skip
KINDS = pytest.mark.parametrize("kind", MARKS, ids=lambda kind: kind.name.replace(" ", "-"))


def made(folder: Path, kind: Kind) -> Path:
    """A folder with its mark, and everything that hfcli writes into one of its kind."""
    for name in OWN[kind]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    (folder / kind.mark).write_text(MARKS[kind])
    if kind is RUN:
        (folder / "README.md").write_text(CARD)
        (folder / "eval-test" / EVALUATION.mark).write_text(MARKS[EVALUATION])
    if kind is SWEEP:
        (folder / "seed=1" / RUN.mark).write_text(MARKS[RUN])
        (folder / "seed=2").mkdir()  # killed before its mark
    return folder


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@KINDS
def test_what_hfcli_wrote_is_removed_and_the_folder_stays(kind: Kind, tmp_path: Path) -> None:
    folder = made(tmp_path / "out", kind)
    before = folder.stat().st_ino
    runfolder.check(folder, kind, overwrite=True)
    runfolder.replace(folder, kind, "new")
    assert tree(folder) == {kind.mark: b"new"}
    assert folder.stat().st_ino == before


def below(path: Path) -> Path:
    path.parent.mkdir()
    return path


FOREIGN: dict[str, Callable[[Path], object]] = {
    "thesis.txt": lambda path: path.write_text("years"),
    "src": lambda path: path.mkdir(),
    "notes/a.txt": lambda path: below(path).write_text("x"),
    "data.csv": lambda path: path.write_text("text,label"),
    "README.md": lambda path: path.write_text("# My project\n"),
    "run.json.tmp": lambda path: path.write_text("mine"),
    "pipe.json": lambda path: os.mkfifo(path),
    "config.json": lambda path: os.mkfifo(path),
    "link": lambda path: path.symlink_to("/etc"),
    "checkpoint-x": lambda path: path.mkdir(),
    "eval-mine/precious.jsonl": lambda path: below(path).write_text("x"),
    ".git/HEAD": lambda path: below(path).write_text("ref"),
}


@KINDS
@pytest.mark.parametrize("name", FOREIGN)
def test_anything_else_is_named_and_nothing_goes(kind: Kind, name: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "out", kind)
    path = folder / name
    if path.exists():
        path.unlink()
    FOREIGN[name](path)
    before = tree(folder)
    with pytest.raises(RunError, match="hfcli did not write") as caught:
        runfolder.check(folder, kind, overwrite=True)
    assert name.partition("/")[0] in caught.value.message
    assert tree(folder) == before


@KINDS
@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("alone", [True, False])
def test_only_ways_that_would_go_on_are_named(
    kind: Kind, marked: bool, alone: bool, tmp_path: Path
) -> None:
    folder = made(tmp_path / "out", kind)
    if not marked:
        (folder / kind.mark).unlink()
    if not alone:
        (folder / "thesis.tex").touch()
    with pytest.raises(RunError, match="not empty") as caught:
        runfolder.check(folder, kind)
    hint = str(caught.value.hint)
    assert ("--overwrite" in hint) == (marked and alone)
    assert ("--resume" in hint) == (marked and kind in (RUN, SWEEP))
    assert "-o FOLDER" in hint


def test_foreign_files_inside_of_checkpoints_and_evaluations_are_found(tmp_path: Path) -> None:
    folder = made(tmp_path / "out", RUN)
    for name in ("checkpoint-5/why.txt", "eval-test/labels.csv", "tensorboard/a/note", "wandb/x.y"):
        (folder / name).write_text("mine")
    assert sorted(map(str, runfolder.foreign(folder, RUN))) == [
        "checkpoint-5/why.txt", "eval-test/labels.csv", "tensorboard/a/note", "wandb/x.y",
    ]  # fmt: skip


UNMARKED = {
    "no mark": None,
    "another program's": '{"name": "a run of mine"}',
    "a list": "[1]",
    "nothing": "",
    "bytes": "\x00\x01",
    "hfcli in the middle": '{"run": 1, "hfcli": "0.1.0"}',
}


@KINDS
@pytest.mark.parametrize("mark", UNMARKED.values(), ids=UNMARKED)
def test_a_folder_without_a_mark_is_left_alone(
    kind: Kind, mark: str | None, tmp_path: Path
) -> None:
    folder = made(tmp_path / "out", kind)
    (folder / ".scores.partial").unlink(missing_ok=True)
    (folder / kind.mark).unlink()
    if mark is not None:
        (folder / kind.mark).write_text(mark)
    before = tree(folder)
    with pytest.raises(RunError, match="was not written by hfcli"):
        runfolder.check(folder, kind, overwrite=True)
    assert tree(folder) == before


@KINDS
def test_a_mark_that_is_a_link_is_no_mark(kind: Kind, tmp_path: Path) -> None:
    folder = made(tmp_path / "out", kind)
    (folder / ".scores.partial").unlink(missing_ok=True)
    (folder / kind.mark).rename(tmp_path / "mark")
    (folder / kind.mark).symlink_to(tmp_path / "mark")
    with pytest.raises(RunError, match="was not written by hfcli"):
        runfolder.check(folder, kind, overwrite=True)


@pytest.mark.parametrize("name", ["config.json", "checkpoint-7", "tensorboard"])
def test_of_a_link_the_link_alone_is_removed(name: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "out", RUN)
    outside = made(tmp_path / "outside", RUN) if name != "config.json" else tmp_path / "precious"
    if name == "config.json":
        outside.write_text("precious")
        (folder / name).unlink()
    if name == "tensorboard":
        for path in sorted((folder / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (folder / name).rmdir()
    (folder / name).symlink_to(outside)
    before = tree(tmp_path / "outside") if outside.is_dir() else outside.read_bytes()
    runfolder.check(folder, RUN, overwrite=True)
    runfolder.replace(folder, RUN, "new")
    assert tree(folder) == {RUN.mark: b"new"}
    assert (tree(outside) if outside.is_dir() else outside.read_bytes()) == before


def test_a_link_to_a_run_is_a_run(tmp_path: Path) -> None:
    folder = made(tmp_path / "disk" / "out", RUN)
    (tmp_path / "link").symlink_to(folder)
    with runfolder.hold(tmp_path / "link"):
        runfolder.check(tmp_path / "link", RUN, overwrite=True)
        runfolder.replace(tmp_path / "link", RUN, "new")
    assert tree(folder) == {RUN.mark: b"new"}


@pytest.mark.parametrize(
    "read", ["out/eval-test/predictions.jsonl", "out", ".", "out/checkpoint-5"]
)
def test_what_the_command_reads_is_not_removed(
    read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path / "out", RUN)
    monkeypatch.chdir(folder if read == "." else tmp_path)
    with pytest.raises(RunError, match="which this command reads"):
        runfolder.check(folder, RUN, overwrite=True, reads=[Path(read)])
    runfolder.check(folder, RUN, overwrite=True, reads=[tmp_path / "nowhere", tmp_path])


@KINDS
def test_a_kill_at_any_moment_leaves_a_folder_that_is_known(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each number of removed names the folder has its mark, and a second try succeeds."""
    calls, stop_at = 0, 0

    def counted(real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: object, **options: object) -> None:
            nonlocal calls
            calls += 1
            if calls == stop_at:
                raise KeyboardInterrupt
            real(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for owner, name in ((Path, "unlink"), (Path, "rmdir"), (os, "replace")):
            patched.setattr(owner, name, counted(getattr(owner, name)))
        while True:
            stop_at += 1
            folder = made(tmp_path / f"out{stop_at}", kind)
            calls = 0
            try:
                runfolder.replace(folder, kind, MARKS[kind])
            except KeyboardInterrupt:
                limit, stop_at = stop_at, 0
                runfolder.check(folder, kind, overwrite=True)
                runfolder.replace(folder, kind, "new")
                assert tree(folder) == {kind.mark: b"new"}
                stop_at = limit
            else:
                break
    assert stop_at > len(OWN[kind])


@pytest.mark.parametrize("left", [[], [".run.json.tmp"], [".hfcli.lock"], ["temporary"]])
def test_what_is_left_before_the_mark_counts_as_nothing(left: list[str], tmp_path: Path) -> None:
    for name in left:
        if name == "temporary":
            files.create_temporary(tmp_path / "run.json")
        else:
            (tmp_path / name).touch()
    runfolder.check(tmp_path, RUN)


def test_a_folder_made_for_nothing_goes_away(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with pytest.raises(ZeroDivisionError), runfolder.hold(folder):
        raise ZeroDivisionError
    assert tree(tmp_path) == {}
    with runfolder.hold(folder):
        (folder / "model").touch()
    assert tree(folder) == {"model": b""}
    (tmp_path / "empty").mkdir()
    with runfolder.hold(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty").is_dir(), "it was there before"


@pytest.mark.parametrize("what", ["file", "link to nothing", "pipe"])
def test_what_is_not_a_folder_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    if what == "file":
        path.write_text("mine")
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")
    with pytest.raises(RunError, match="not a folder"), runfolder.hold(path):
        pass
    assert os.path.lexists(path)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hfcli import runfolder\n"
        f"with runfolder.hold(Path({str(tmp_path / 'out')!r})):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdin
    assert other.stdout
    assert other.stdout.readline() == "held\n"
    taken = pytest.raises(RunError, match="another process is writing it")
    with taken, runfolder.hold(tmp_path / "out"):
        pass
    other.kill()  # its lock goes with it, its lock file does not
    other.wait()
    other.stdin.close()
    other.stdout.close()
    assert (tmp_path / "out" / ".hfcli.lock").exists()
    with runfolder.hold(tmp_path / "out"):
        runfolder.check(tmp_path / "out", RUN)


def test_a_mount_point_is_a_folder_as_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("nothing can be mounted here")
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    try:
        with runfolder.hold(folder):
            runfolder.check(folder, RUN)
        made(folder, RUN)
        with runfolder.hold(folder):
            runfolder.check(folder, RUN, overwrite=True)
            runfolder.replace(folder, RUN, "new")
        assert tree(folder) == {RUN.mark: b"new"}
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_evaluations_of_earlier_versions_are_known(tmp_path: Path) -> None:
    report = {
        "task": "x", "model": "m", "data": "d", "data_sha256": "0", "metrics": {},
        "versions": {"hfcli": "0.1.0"},
    }  # fmt: skip
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "predictions.jsonl").write_text("{}\n")
    runfolder.check(tmp_path, EVALUATION, overwrite=True)
    (tmp_path / "report.json").write_text(json.dumps({**report, "versions": {}}))
    with pytest.raises(RunError, match="was not written by hfcli"):
        runfolder.check(tmp_path, EVALUATION, overwrite=True)


def test_no_other_module_spells_the_name_of_a_file_of_a_run_or_an_evaluation() -> None:
    spelled = {value for name, value in vars(names).items() if name.isupper()} - {CARD_FILE}
    assert len(spelled) > 10
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for path in (ROOT / "hfcli").rglob("*.py")
        if path.name != "names.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in spelled
    }
    assert found == set()
