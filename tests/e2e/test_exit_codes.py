"""Every exit code, with one message on stderr, nothing on stdout and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import RECIPES, hfcli, write_csv

CLASSIFY = str(RECIPES / "bundled-text-classification.yaml")
FAILURES = {
    "unknown-command": (["genrate", "x"], 2, "No such command"),
    "unknown-flag": (["generate", "x", "--tempurature", "1"], 2, "--tempurature"),
    "missing-recipe": (["finetune", "nowhere.yaml"], 2, "nowhere.yaml: no such recipe"),
    "unknown-key": (
        ["finetune", CLASSIFY, "training.lerning_rate=1"],
        2,
        "did you mean learning_rate?",
    ),
    "resume-and-overwrite": (["finetune", CLASSIFY, "--resume", "--overwrite"], 2, "exclude"),
    "missing-data": (
        ["finetune", CLASSIFY, "-o", "OUT", "data.train=nowhere.csv"],
        3,
        "no such file",
    ),
    "empty-prompt": (["generate", ""], 2, "error: the prompt is empty"),
    "empty-stdin": (["generate"], 2, "error: the prompt is empty"),
    "missing-column": (
        ["finetune", CLASSIFY, "-o", "OUT", "task.text_column=txt"],
        3,
        "did you mean text?",
    ),
    "missing-model": (
        ["finetune", CLASSIFY, "-o", "OUT", "model.name_or_path=./nowhere"],
        4,
        "no such file or folder",
    ),
    "not-a-classifier": (
        ["eval", "--model", "bundled", "--data", "ROWS", "--task", "text-classification"],
        4,
        "no trained classification head",
    ),
    "absent-device": (
        ["finetune", CLASSIFY, "-o", "OUT", "--device", "cuda:9"],
        5,
        "available: auto, cpu",
    ),
    "not-a-run": (["eval", "FOLDER"], 5, "was not written by hfcli finetune"),
}


@pytest.mark.parametrize(("arguments", "code", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_failure_has_its_code_and_says_what_to_do(
    arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    rows = write_csv(tmp_path / "rows.csv", [("a boat", "calm"), ("a wind", "storm")])
    places = {"OUT": tmp_path / "out", "ROWS": rows, "FOLDER": tmp_path / "folder"}
    done = hfcli(*(places.get(argument, argument) for argument in arguments))
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(("error: ", "Usage: ")), "and no library speaks before"
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_success_is_zero_and_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hfcli("--version").returncode == 0
    import subprocess
    import sys

    code = (
        "import sys, hfcli.recipe.load as load\n"
        "sys.argv = ['hfcli', 'finetune', 'x.yaml']\n"
        "def bug(path): raise KeyError('a bug')\n"
        "load.read_recipe = bug\n"
        "from hfcli.cli.app import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "KeyError: 'a bug'" in done.stderr


def test_debug_shows_the_traceback_of_a_known_error() -> None:
    done = hfcli("finetune", "nowhere.yaml", env={"HFCLI_DEBUG": "1"})
    assert "Traceback" in done.stderr
    assert "RecipeError" in done.stderr
