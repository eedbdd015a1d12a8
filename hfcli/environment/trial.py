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
TEXT = "The harbour was quiet and the boats lay still in the grey light of the morning."
ROWS = 40
RECIPE = {
    "task": {"name": "text-generation", "block_size": 32},
    "model": {"name_or_path": "bundled"},
    "data": {"train": "rows.jsonl"},
    "training": {"max_steps": STEPS, "per_device_train_batch_size": 2},
    "output_dir": "run",
}


class _FailedError(RuntimeError):
    """A command that did not do what it should."""


def run_check() -> CheckResult:
    """Train and write; what fails is told in the result."""
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
    (folder / "rows.jsonl").write_text(f"{json.dumps({'text': TEXT})}\n" * ROWS, encoding="utf-8")
    # JSON is YAML, and needs no library to write.
    (folder / "recipe.yaml").write_text(json.dumps(RECIPE), encoding="utf-8")
    trained = _hfcli(folder, "finetune", "recipe.yaml", "--offline", "--json")
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
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError as e:
        raise _FailedError(f"{command} printed something else than JSON") from e
    return result


def _environment(folder: Path) -> dict[str, str]:
    """Without the variables that are flags, and with all that is temporary in the folder."""
    flags = ("HFCLI_FINETUNE_", "HFCLI_GENERATE_")
    kept = {name: v for name, v in own_environment().items() if not name.startswith(flags)}
    return kept | dict.fromkeys(TEMPORARY, str(folder))
