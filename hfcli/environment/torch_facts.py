"""What only torch knows, asked of a process of its own: a broken torch may end the one it is in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hfcli.environment.folders import TEMPORARY

SECONDS = 300
PACKAGE = Path(__file__).parent.parent
MISSING = "ModuleNotFoundError: No module named 'torch'"


def own_python(*words: str) -> list[str]:
    """Return the command that runs a module with this Python, wherever the user is."""
    return [sys.executable, "-P", "-m", *words]


def own_environment() -> dict[str, str]:
    """Return the environment in which `own_python` finds this very hfcli."""
    path = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONIOENCODING": "utf-8"}


def ask_torch() -> tuple[dict[str, Any], str | None]:
    """Return what torch tells about this machine, and why it cannot be used.

    Returns:
        `features`, `bfloat16`, `threads`, `devices` and `speed_ups`, or nothing and the reason.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="hfcli-probe-") as folder:
            done = subprocess.run(
                own_python("hfcli.environment.probe"),
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                # torch's compiler leaves a folder where temporary files go.
                env=own_environment() | dict.fromkeys(TEMPORARY, folder),
                stdin=subprocess.DEVNULL,
                timeout=SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired:
        return {}, f"importing it took more than {SECONDS} s"
    except OSError as e:
        return {}, f"the temporary folder cannot be used ({e.strerror})"
    if done.returncode == 0:
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return facts, None
    return {}, failure(done)


def failure(done: subprocess.CompletedProcess[str]) -> str:
    """Return in one line why a process of Python failed."""
    if done.returncode < 0:
        return f"the process was ended by {_signal_name(-done.returncode)}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else f"exit code {done.returncode}"
    return "it is not installed: pip install torch" if last == MISSING else last


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
