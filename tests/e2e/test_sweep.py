"""`hfcli finetune --sweep` as the real command: killed, resumed, with a run that fails."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers import hfcli
from tests.integration.test_training import RUNS, write_recipe


def test_a_sweep_survives_a_kill_and_a_run_that_fails(tiny_gpt2: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, **RUNS["grouped"])
    command = [
        "finetune", str(path), "--sweep", "training.learning_rate=1e30,1e-3", "--sweep", "seed=1,2",
        "-o", str(tmp_path / "sweep"),
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "hfcli", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    third = False
    for line in process.stderr:
        third = third or "run 3 of 4" in line
        if third and line.startswith("step 9/"):
            process.kill()
            break
    assert process.communicate(timeout=60)[0] == ""
    assert process.returncode == -signal.SIGKILL
    folder = tmp_path / "sweep"
    told = json.loads((folder / "sweep.json").read_text())
    assert {run["state"] for run in told["runs"]} == {"failed", "unfinished"}

    done = hfcli(*command, "--resume", "--json")
    assert done.returncode == 6, done.stderr
    assert "resuming from" in done.stderr
    assert "1e30,seed=1: failed: the loss is nan" in done.stderr
    told = json.loads(done.stdout)
    assert told == json.loads((folder / "sweep.json").read_text())
    assert [run["values"]["training.learning_rate"] for run in told["runs"]] == [
        1e-3, 1e-3, 1e30, 1e30,
    ]  # fmt: skip
    assert [run["state"] for run in told["runs"]] == ["done", "done", "failed", "failed"]
    for run in told["runs"][:2]:
        assert (Path(run["folder"]) / "report.html").is_file()
