"""`hfcli finetune --dry-run` against the run itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import RECIPES, hfcli

# The largest memory of a child process, which only its parent can ask for.
MEASURED = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "hfcli", *sys.argv[1:]], stdout=2).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(code)
"""


@pytest.mark.parametrize(("rows", "times"), [(32, 1), (8, 4)])
def test_predicted_memory_is_within_a_fifth_of_the_runs(
    rows: int, times: int, tmp_path: Path
) -> None:
    recipe = str(RECIPES / "bundled-text-generation.yaml")
    big = [
        "training.max_steps=2",
        f"training.per_device_train_batch_size={rows}",
        f"training.gradient_accumulation_steps={times}",
    ]
    planned = hfcli("finetune", recipe, *big, "--dry-run", "--json")
    assert planned.returncode == 0, planned.stderr
    told = json.loads(planned.stdout)
    command = ["finetune", recipe, *big, "-o", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    measured = int(done.stdout)
    assert abs(told["peak_memory"] / measured - 1) < 0.2, (told["peak_memory"], measured)
    assert told["steps"] == 2


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    recipe = str(RECIPES / "bundled-text-classification.yaml")
    done = hfcli("recipes", "check", recipe, f"output_dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run").exists()
    for part in ("steps", "padding", "trained", "time", "memory", "label complaint"):
        assert part in done.stdout
    assert "»" in done.stdout, "what is learned is marked"
