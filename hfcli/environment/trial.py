"""`hfcli env --check`: two training steps and ten tokens with the bundled model, by the commands.

They run as processes of their own, in a folder that is removed: a crash of a library is a failed
check, and no traceback.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from hfcli.environment.folders import TEMPORARY
from hfcli.environment.torch_facts import failure, own_environment, own_python
from hfcli.results import CheckResult

SECONDS = 600  # a hang: both commands take seconds
STEPS, TOKENS = 2, 10
PROMPT = "The harbour was"
RECIPE = "bundled-text-generation"
OVERRIDES = (f"training.max_steps={STEPS}", "training.per_device_train_batch_size=2")


class _FailedError(RuntimeError):
    """A command that did not do what it should."""


def run_check() -> CheckResult:
    """Train and write; a failure is part of the result."""
    start = time.perf_counter()
    text = error = None
    try:
        with tempfile.TemporaryDirectory(prefix="hfcli-check-") as folder:
            text = _tried(Path(folder))
    except _FailedError as e:
        error = str(e)
    except OSError as e:
        error = f"the temporary folder cannot be used ({e.strerror})"
    return CheckResult(time.perf_counter() - start, text, error)


def _tried(folder: Path) -> str:
    _ran(folder, "recipes", "copy", RECIPE)
    trained = _hfcli(
        folder, "finetune", f"{RECIPE}.yaml", *OVERRIDES, "-o", "run", "--offline", "--json"
    )
    steps = trained.get("steps")
    if steps != STEPS:
        raise _FailedError(f"hfcli finetune made {steps} steps, not {STEPS}")
    written = _hfcli(
        folder, "generate", PROMPT, "--model", "run", "--max-new-tokens", str(TOKENS), "--greedy",
        "--offline", "--json",
    )  # fmt: skip
    if written.get("n_new_tokens") != TOKENS and written.get("finish_reason") != "stop":
        raise _FailedError(f"hfcli generate wrote {written.get('n_new_tokens')} tokens")
    return f"{PROMPT}{written.get('text')}"


def _hfcli(folder: Path, *arguments: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    try:
        result: dict[str, Any] = json.loads(_ran(folder, *arguments))
    except ValueError as e:
        raise _FailedError(f"hfcli {arguments[0]} printed something else than JSON") from e
    return result


def _ran(folder: Path, *arguments: str) -> str:
    """What a command prints."""
    command = f"hfcli {arguments[0]}"
    try:
        done = subprocess.run(
            own_python("hfcli", *arguments),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        raise _FailedError(f"{command} took more than {SECONDS} s") from e
    if done.returncode != 0:
        told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        why = told[0].removeprefix("error: ") if told else failure(done)
        raise _FailedError(f"{command}: {why}")
    return done.stdout


def _environment(folder: Path) -> dict[str, str]:
    """Without the variables that are flags, and with all that is temporary in the folder."""
    flags = ("HFCLI_RECIPES_", "HFCLI_FINETUNE_", "HFCLI_GENERATE_")
    kept = {name: v for name, v in own_environment().items() if not name.startswith(flags)}
    return kept | dict.fromkeys(TEMPORARY, str(folder))
