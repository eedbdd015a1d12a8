"""Resolve hfcli's dependencies for every system and Python by uv, from wheels alone.

Nothing is installed. `constraints.txt`, which `make run` installs from, must resolve too.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLATFORMS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-pc-windows-msvc",
    "aarch64-apple-darwin",
)
SETS: dict[str, list[str]] = {"newest": [], "pinned": ["-c", "constraints.txt"]}
OPTIONS = ["--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:"]
MACOS = {"MACOSX_DEPLOYMENT_TARGET": "14.0"}  # the oldest that torch has wheels for


def pythons() -> list[str]:
    """Return the versions of Python that the classifiers of pyproject.toml name."""
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = (re.fullmatch(r".* :: Python :: (3\.\d+)", line) for line in project["classifiers"])
    return [name[1] for name in names if name]


def resolve(uv: str, python: str, platform: str, extra: list[str]) -> str | None:
    """Return None, or what uv says where it finds no set of versions."""
    command = [uv, "pip", "compile", *OPTIONS, "--python-version", python]
    done = subprocess.run(
        [*command, "--python-platform", platform, *extra, "pyproject.toml"],
        capture_output=True, encoding="utf-8", cwd=ROOT, check=False, env={**os.environ, **MACOS},
    )  # fmt: skip
    return None if done.returncode == 0 else done.stderr.strip()


def main(uv: str) -> int:
    """Print a line for each set, system and Python; return 1 where one does not resolve."""
    cases = list(itertools.product(SETS, PLATFORMS, pythons()))
    with ThreadPoolExecutor(8) as pool:  # uv waits for the index most of the time
        answers = pool.map(lambda case: resolve(uv, case[2], case[1], SETS[case[0]]), cases)
        failed = 0
        for (name, platform, python), wrong in zip(cases, answers, strict=True):
            failed += wrong is not None
            print(f"{name:8} {platform:26} {python:5} {wrong or 'ok'}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
