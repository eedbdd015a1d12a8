"""A short part of `make kill`: a job killed at a call that changes a file, and resumed."""

from __future__ import annotations

import subprocess
import sys

from tests.helpers import ROOT


def test_a_killed_bulk_run_is_resumed_to_the_same_bytes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.kill", "bulk", "--calls", "4", "--moments", "1"],
        cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kills at one of" in done.stdout
    assert "4 killed" in done.stdout
    assert "DIFFERS" not in done.stdout
