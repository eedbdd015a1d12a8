"""A short part of `make fuzz`: no broken input ends in a traceback or in a hang."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fuzz.__main__ import PARTS, SEEDS
from tests.helpers import ROOT

pytestmark = pytest.mark.long

# About ten seconds of one quiet core each.
NUMBERS = {"recipes": 30, "data": 25, "models": 15, "hub": 6}
THERE = [name for name in PARTS if (SEEDS.parent / f"{name}.py").is_file()]


def test_there_are_parts() -> None:
    assert "recipes" in THERE


@pytest.mark.parametrize("part", THERE)
def test_no_broken_input_ends_as_a_bug_does(part: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", part, "--number", str(NUMBERS[part])],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{part}: " in done.stdout
