"""`python -m tests.fuzz [PART ...] [--number N] [--seed FIRST]`: what `make fuzz` runs.

Each part is a file of this folder with `NUMBER`, how many cases `make fuzz` tries, and
`build(seed, folder)`, which writes the files of one case and yields its commands. The same seed
always builds the same case. Seeds that once failed stand in `seeds/PART.txt` and are tried first.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.fuzz import forked
from tests.fuzz.case import Command

PARTS = ("recipes", "data", "models", "hub")
SEEDS = Path(__file__).parent / "seeds"


def main() -> int:
    """Run the parts; 1 when any command ended as a bug does."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART")
    parser.add_argument("--number", type=int, help="cases a part; default: the part's own")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--keep", type=Path, help="folder for the files of cases that fail")
    wanted = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", NO_COLOR="1", COLUMNS="200")
    with tempfile.TemporaryDirectory(prefix="hfcli-fuzz-") as home:
        os.environ.update(HF_HOME=f"{home}/hf", HFCLI_CACHE=f"{home}/cache")
        forked.warm_up()
        bad = [_part(name, wanted, Path(home)) for name in wanted.parts]
    return 1 if any(bad) else 0


def _part(name: str, wanted: argparse.Namespace, home: Path) -> int:
    """Run one part and tell its counts; the number of commands that failed."""
    part: Any = importlib.import_module(f"tests.fuzz.{name}")
    number = part.NUMBER if wanted.number is None else wanted.number
    codes: Counter[str] = Counter()
    slowest = 0.0
    for seed in [*_known(name), *forked.seeds(wanted.seed, number)]:
        folder = home / f"{name}-{seed}"
        folder.mkdir(exist_ok=True)
        for command in part.build(seed, folder):
            outcome = _run(command, folder)
            slowest = max(slowest, outcome.cpu)
            codes["BUG" if outcome.is_bug else f"exit {outcome.code}"] += 1
            if outcome.is_bug:
                _tell(name, seed, command, outcome)
                if wanted.keep:
                    shutil.copytree(folder, wanted.keep / folder.name, dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    counts = ", ".join(f"{code}: {n}" for code, n in sorted(codes.items()))
    print(f"{name}: {codes.total()} commands; {counts}; slowest {slowest:.1f} s of processor time")
    if not codes.total():
        sys.exit(f"{name}: no command was run")
    return codes["BUG"]


def _run(command: Command, folder: Path) -> forked.Outcome:
    return forked.run(
        command.arguments,
        cwd=folder,
        env=command.env,
        stdin=command.stdin,
        cpu_seconds=command.cpu_seconds,
        wall_seconds=command.wall_seconds,
    )


def _tell(name: str, seed: int, command: Command, outcome: forked.Outcome) -> None:
    how = "hung" if outcome.hung else f"exit {outcome.code}"
    typed = shlex.join(["hfcli", *(os.fspath(a) for a in command.arguments)])
    print(f"{name} {seed}: {how}: {typed[:300]}\n    {outcome.last_line()}", flush=True)
    if outcome.hung:
        print(outcome.stderr.decode("utf-8", "replace"), flush=True)


def _known(name: str) -> list[int]:
    file = SEEDS / f"{name}.txt"
    return [int(word) for word in file.read_text().split()] if file.is_file() else []


if __name__ == "__main__":
    sys.exit(main())
