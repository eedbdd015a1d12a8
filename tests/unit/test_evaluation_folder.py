"""The folder of an evaluation: its own again, never another's, never what hfcli did not write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import HfcliError, RunError
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.evaluation.predictions import ScoreLog, read_predictions, write_predictions
from tests.damage import DAMAGES

TOLD = {"weights_sha256": "w", "data_sha256": "d", "settings": {"windows": "full", "n": [1]}}
OTHERS = {
    "weights": {**TOLD, "weights_sha256": "v"},
    "data": {**TOLD, "data_sha256": "e"},
    "settings": {**TOLD, "settings": {"windows": "hf-docs", "n": [1]}},
}
ROWS = [{"id": f"d:{i}", "text_sha256": "0", "nll": i / 7, "error": None} for i in range(5)]
ABOUT = {"model": "m", "data": "d"}


def place(default: Path, *, named: Path | None = None, overwrite: bool = False) -> EvaluationFolder:
    return EvaluationFolder(named=named, default=default, overwrite=overwrite, about=ABOUT)


def evaluated(folder: EvaluationFolder, told: dict[str, Any] = TOLD) -> tuple[Path, bool]:
    """Do what an evaluation does; its folder, and whether its predictions were there."""
    with folder:
        path = folder.take(told)
        if folder.reuses():
            return path, True
        with ScoreLog(path, told) as log:
            log.add([0, 1], [(0.5, 1.0), (0.25, 2.0)])
            write_predictions(path, ROWS)
            folder.keep()
            log.remove()
        report = {**told, "task": "t", "model": "m", "data": "d", "metrics": {}}
        (path / "report.json").write_text(json.dumps(report))
    return path, False


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_two_evaluations_never_share_a_default_folder(
    other: dict[str, Any], tmp_path: Path
) -> None:
    default = tmp_path / "runs" / "eval-m-d"
    first, _ = evaluated(place(default))
    before = tree(first)
    second, _ = evaluated(place(default), other)
    assert first == default
    assert second != first
    assert second.name.startswith(f"{default.name}-")
    assert tree(first) == before
    # Each finds its own again, whichever was there first.
    assert evaluated(place(default)) == (first, True)
    assert evaluated(place(default), other) == (second, True)


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_named_folder_is_replaced_on_request_only(other: dict[str, Any], tmp_path: Path) -> None:
    folder, _ = evaluated(place(tmp_path / "x", named=tmp_path / "mine"))
    before = tree(folder)
    with pytest.raises(RunError, match="holds another evaluation"):
        evaluated(place(tmp_path / "x", named=folder), other)
    assert tree(folder) == before
    assert evaluated(place(tmp_path / "x", named=folder, overwrite=True), other) == (folder, False)
    assert evaluated(place(tmp_path / "x", named=folder), other) == (folder, True)


def test_a_killed_evaluation_is_not_replaced_by_another(tmp_path: Path) -> None:
    named = tmp_path / "mine"
    with place(tmp_path / "x", named=named) as folder, ScoreLog(folder.take(TOLD), TOLD) as log:
        log.add([0], [(0.5, 1.0)])
    with pytest.raises(RunError, match="holds another evaluation"):
        evaluated(place(tmp_path / "x", named=named), OTHERS["settings"])
    with place(tmp_path / "x", named=named) as folder, ScoreLog(folder.take(TOLD), TOLD) as log:
        assert log.done == {0: (0.5, 1.0)}


def test_scores_that_a_kill_left_beside_the_predictions_are_removed(tmp_path: Path) -> None:
    path, _ = evaluated(place(tmp_path / "e"))
    whole = tree(path)
    with ScoreLog(path, TOLD) as log:
        log.add([0, 1], [(0.5, 1.0), (0.25, 2.0)])
    assert tree(path) != whole
    assert evaluated(place(tmp_path / "e")) == (path, True)
    assert tree(path) == whole


def test_where_nothing_was_computed_others_are_welcome(tmp_path: Path) -> None:
    named = tmp_path / "mine"
    with place(tmp_path / "x", named=named) as folder:
        folder.take(TOLD)
    assert evaluated(place(tmp_path / "x", named=named), OTHERS["data"]) == (named, False)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", [b"", b"precious", b"{}", b'{"task": 1}', b"\xff\x00", b"[]"])
@pytest.mark.parametrize(
    "name",
    [
        "predictions.jsonl", "report.json", "report.md", "report.html", "prompts.jsonl",
        "texts.jsonl", ".scores.partial", ".hfcli.json",
    ],
)  # fmt: skip
def test_what_hfcli_did_not_write_is_not_replaced(
    name: str, content: bytes, overwrite: bool, tmp_path: Path
) -> None:
    named = tmp_path / "mine"
    named.mkdir()
    (named / name).write_bytes(content)
    with pytest.raises(RunError, match=f"holds {name}, which hfcli did not write"):
        evaluated(place(tmp_path / "x", named=named, overwrite=overwrite))
    assert tree(named) == {name: content}
    # A default folder is another one then.
    assert evaluated(place(named))[0] != named
    assert tree(named) == {name: content}


def test_overwrite_refuses_a_folder_with_anything_else(tmp_path: Path) -> None:
    named, _ = evaluated(place(tmp_path / "x", named=tmp_path / "mine"))
    (named / "thesis.txt").write_text("years")
    before = tree(named)
    with pytest.raises(RunError, match=r"holds thesis\.txt"):
        evaluated(place(tmp_path / "x", named=named, overwrite=True), OTHERS["data"])
    assert tree(named) == before


def test_a_folder_with_a_model_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RunError, match="holds a model"):
        evaluated(place(tmp_path / "x", named=tmp_path))


DAMAGE = {
    "empty": b"",
    "cut": None,
    "text": b"not JSON\n",
    "a list": b"[1]\n",
    "a number": b"1\n",
    "another object": b'{"a": 1}\n',
    "bytes": bytes(range(256)),
    "deep": b"[" * 50_000,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", [".hfcli.json", "report.json", "predictions.jsonl"])
def test_damage_is_told_or_repaired_and_never_scored(
    name: str, damage: Callable[[Path], object], tmp_path: Path
) -> None:
    """Either a known error, or the very rows; by --overwrite at the latest, unless what stands
    there is not a file of hfcli's any more."""
    named, _ = evaluated(place(tmp_path / "x", named=tmp_path / "mine"))
    damage(named / name)
    codes = []
    for overwrite in (False, True):
        try:
            found, _ = evaluated(place(tmp_path / "x", named=named, overwrite=overwrite))
        except HfcliError as e:
            codes.append(e.exit_code)
        else:
            codes.append(0)
            assert list(read_predictions(found / "predictions.jsonl")) == ROWS
    assert set(codes) <= {0, 3, 5}
    is_file = (named / name).is_file() and not (named / name).is_symlink()
    assert codes[1] == 0 or name == ".hfcli.json" or not is_file


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_log_of_scores_is_told_with_its_line(
    what: str, line: int, tmp_path: Path
) -> None:
    with ScoreLog(tmp_path, TOLD) as log:
        log.add([0, 1, 2], [(0.5, 1.0), (0.25, 2.0), (0.125, 4.0)])
    lines = log.path.read_bytes().splitlines(keepends=True)
    damage = DAMAGE[what]
    lines[line] = lines[line][:5] + b"\n" if damage is None else damage + b"\n"
    log.path.write_bytes(b"".join(lines))
    before = log.path.read_bytes()
    if line == 0 and what == "another object":
        return  # the log of another evaluation, which `take` has refused
    with pytest.raises(RunError, match=rf"partial:{line + 1}: is damaged"):
        ScoreLog(tmp_path, TOLD)
    assert log.path.read_bytes() == before


@pytest.mark.parametrize("tail", [b"[3, 0.5", b"\x00" * 20, b"[3"])
def test_a_torn_tail_is_dropped(tail: bytes, tmp_path: Path) -> None:
    with ScoreLog(tmp_path, TOLD) as log:
        log.add([0, 1], [(0.5, 1.0), (0.25, 2.0)])
    with log.path.open("ab") as file:
        file.write(tail)
    with ScoreLog(tmp_path, TOLD) as again:
        assert again.done == {0: (0.5, 1.0), 1: (0.25, 2.0)}


def test_two_at_once(tmp_path: Path) -> None:
    """The same evaluation is refused, another one gets a folder of its own."""
    default = tmp_path / "runs" / "eval-m-d"
    code = (
        "import json, sys; from pathlib import Path\n"
        "from hfcli.evaluation.folder import EvaluationFolder\n"
        "default, told, about = json.loads(sys.argv[1])\n"
        "with EvaluationFolder(\n"
        "    named=None, default=Path(default), overwrite=False, about=about\n"
        ") as folder:\n"
        "    folder.take(told); print('held', flush=True); sys.stdin.read()\n"
    )
    arguments = json.dumps([str(default), TOLD, ABOUT])
    with subprocess.Popen(
        [sys.executable, "-c", code, arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env={**os.environ},
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another process is writing it"):
            evaluated(place(default))
        assert evaluated(place(default), OTHERS["data"])[0] != default
        other.kill()
    assert evaluated(place(default)) == (default, False)
