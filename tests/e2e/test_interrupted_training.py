"""Training that is killed or interrupted, as the real command in a process of its own."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, hfcli
from tests.integration.test_training import RUNS, assert_same, write_recipe

# Kills the process at the n-th file that a checkpoint brings to the disk.
KILL_IN_SAVE = """
import os, signal
_fsync, _left = os.fsync, [int(os.environ["FSYNCS"])]
def fsync(number):
    _left[0] -= 1
    if not _left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    _fsync(number)
os.fsync = fsync
"""


@pytest.fixture(scope="module")
def reference(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    path = write_recipe(tmp_path_factory.mktemp("e2e"), tiny_gpt2, **RUNS["grouped"])
    done = hfcli("finetune", path)
    assert done.returncode == 0, done.stderr
    return path, path.parent / "run"


def test_a_kill_inside_a_save_costs_nothing_that_was_saved(
    reference: tuple[Path, Path], tmp_path: Path
) -> None:
    path, whole = reference
    run = tmp_path / "run"
    (tmp_path / "sitecustomize.py").write_text(KILL_IN_SAVE)
    # The third checkpoint: ten files each.
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "FSYNCS": "25"}
    killed = hfcli("finetune", path, "-o", run, env=env)
    assert killed.returncode == -signal.SIGKILL
    assert (run / ".saving" / "checkpoint-12").is_dir(), "it was not killed inside a save"
    done = hfcli("finetune", path, "-o", run, "--resume")
    assert done.returncode == 0, done.stderr
    assert "checkpoint-8" in done.stderr
    assert_same(run, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_step_and_names_the_command_that_goes_on(
    number: signal.Signals, reference: tuple[Path, Path], tmp_path: Path
) -> None:
    path, whole = reference
    command = ["finetune", str(path), "-o", str(tmp_path / "run")]
    process = subprocess.Popen(
        [sys.executable, "-m", "hfcli", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step 6/"):
            process.send_signal(number)
            break
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    hint = stderr.strip().splitlines()[-1]
    assert hint.startswith("hint: to go on: hfcli finetune ")
    again = shlex.split(hint.removeprefix("hint: to go on: hfcli "))
    done = hfcli(*again)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "run", whole)
