"""What several tests need: the real command in a subprocess, and small models made on the spot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "recipes"
SHARED = ROOT.parent / "shared" / "data"


# Calls, files and rooms of tests that only POSIX has.
_OF_POSIX = re.compile(
    r"\b(mkfifo|openpty|fork|geteuid|setrlimit|chmod|AF_UNIX|SIGKILL|tests\.kill|tests\.fuzz)\b"
    r"|/dev/|/proc/"
)


def lacking_on_windows(source: str) -> str | None:
    """Return what the source of a test uses and Windows lacks, or None."""
    found = _OF_POSIX.search(source)
    return found[0] if found else None


def hfcli(
    *arguments: str | Path,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 1200,  # a hang; a slow machine at work on two tests needs several minutes
) -> subprocess.CompletedProcess[str]:
    """Run `python -m hfcli ...`; stdin is /dev/null unless given."""
    return subprocess.run(
        [sys.executable, "-m", "hfcli", *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        timeout=timeout,
        check=False,
    )


def is_pinned() -> bool:
    """Whether the versions are those of constraints.txt, for which laws hold to the last bit."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==", 1) for line in lines if not line.startswith("#"))
    names = ("torch", "transformers", "accelerate", "peft", "tokenizers")
    try:
        return all(version(name).partition("+")[0] == pins[name] for name in names)
    except PackageNotFoundError:
        return False


# `python -c SLOW ARGUMENTS` is hfcli taking its time over each token: there is a middle of a text
# to be interrupted in, however busy the machine is.
SLOW = (
    "import time\n"
    "from hfcli.generation.row import Row\n"
    "take = Row.take\n"
    "Row.take = lambda self, token: (take(self, token), time.sleep(0.02))\n"
    "from hfcli.cli.app import main\n"
    "main()\n"
)


def prepared(task: Any, rows: Any, loaded: Any, *, train: bool, **options: Any) -> Any:
    """Rows encoded for a model, as a run does it."""
    from hfcli.data.prepare import prepare
    from hfcli.tasks.base import Tools

    tools = Tools(loaded.tokenizer, loaded.model, **options)
    return prepare(task=task, rows=lambda: rows, tools=tools, train=train)


def write_csv(path: Path, rows: Sequence[tuple[str, str]], header: str = "text,label") -> Path:
    """A csv file of two columns; cells must need no quoting."""
    path.write_text("\n".join([header, *(f"{a},{b}" for a, b in rows)]) + "\n", encoding="utf-8")
    return path


# Processor time of `_reference_work` on the machine on which limits of time were set. Taken from
# a slower one, on which `hfcli --help` takes 0.13 s instead of 0.07 s.
REFERENCE_SECONDS = 0.11


def slowness() -> float:
    """Return how much slower this machine is than the one of the limits; at least 1, at most 3."""
    return min(max(min(_reference_work() for _ in range(3)) / REFERENCE_SECONDS, 1.0), 3.0)


def _reference_work() -> float:
    """Return the processor time of work like that of a start: dictionaries, text, compiling."""
    source = "\n".join(
        f"def f{i}(a, b={i}):\n    return [a + b for _ in range(3)]" for i in range(60)
    )
    start = time.process_time()
    for _ in range(30):
        table = {str(i): [i, i * 0.5, "x" * (i % 7)] for i in range(2000)}
        json.loads(json.dumps(table, sort_keys=True))
        compile(source, "reference", "exec")
    return time.process_time() - start
