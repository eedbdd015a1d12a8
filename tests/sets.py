"""Run the tests in one set of versions, and write the result into docs/versions.md.

    python -m tests.sets oldest         # by `make test-oldest`, in its environment
    python -m tests.sets --short oldest # without the tests marked `long`, as CI does
    python -m tests.sets --jobs 1 newest

The row of the set and Python in the table of docs/versions.md is replaced by what pytest counted.
The pinned set leaves the file as it is, unless --record is given: it runs at every change.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.helpers import ROOT

PAGE = ROOT / "docs" / "versions.md"
PACKAGES = ("torch", "transformers", "huggingface-hub", "tokenizers", "peft", "datasets")
COLUMNS = (
    "set", "Python", "system", *PACKAGES, "tests", "passed", "failed", "skipped", "date",
)  # fmt: skip
KEY = 3  # columns that name a row
STATED = ("tests/unit", "tests/integration")
# A set -> the tests it runs, and whether a warning is an error there.
SETS: dict[str, tuple[tuple[str, ...], bool]] = {
    "pinned": (("tests",), True),
    "oldest": (STATED, False),
    "newest": (STATED, False),
    "python": (("tests",), False),
}
ENDED = (0, 1)  # pytest's exit codes for all passed and some failed; others did not run to the end


@dataclass(frozen=True)
class Counts:
    """How many tests ended how; errors of fixtures count as failed."""

    passed: int
    failed: int
    skipped: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )


def read_counts(report: Path) -> Counts:
    """Return the counts in pytest's own report (--junitxml)."""
    passed = failed = skipped = 0
    for suite in ET.parse(report).getroot().iter("testsuite"):
        wrong = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        left_out = int(suite.get("skipped", 0))
        passed += int(suite.get("tests", 0)) - wrong - left_out
        failed += wrong
        skipped += left_out
    return Counts(passed, failed, skipped)


def row_of(name: str, tests: str, counts: Counts) -> list[str]:
    """Return the cells of a set's row: this Python and its packages, and how its tests ended."""
    system = f"{platform.system()} {platform.machine()}"
    found = [_version(package) for package in PACKAGES]
    numbers = [f"{n:,}" for n in (counts.passed, counts.failed, counts.skipped)]
    today = datetime.now(UTC).date().isoformat()
    return [name, platform.python_version(), system, *found, tests, *numbers, today]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def with_row(page: str, row: Sequence[str]) -> str:
    """Return the page with `row` in its table, in place of one of the same set, Python and system.

    Pythons are the same when their minor versions are.
    """
    lines = page.splitlines()
    head = next(i for i, line in enumerate(lines) if _cells(line) == list(COLUMNS))
    end = head
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    rows = [cells for cells in map(_cells, lines[head + 2 : end]) if _key(cells) != _key(row)]
    order = list(SETS)
    rows = sorted([*rows, list(row)], key=lambda cells: (order.index(cells[0]), _key(cells)))
    made = ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join([*lines[: head + 2], *made, *lines[end:]]) + "\n"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _key(cells: Sequence[str]) -> tuple[str, tuple[int, ...], str]:
    minor = tuple(int(part) for part in cells[1].split(".")[:2])
    return cells[0], minor, cells[KEY - 1]


def run(name: str, *, jobs: str, short: bool, record: bool) -> int:
    """Run the tests of a set, those that need the machine for themselves first.

    Returns:
        Exit code of pytest, the first that is not 0.
    """
    paths, strict = SETS[name]
    options = ["-W", "error"] if strict else []
    kinds = [["-m", "alone"]] if strict else []
    rest = "not alone and not long" if short else "not alone"
    kinds.append(["-n", jobs, "--dist", "worksteal", "-m", rest])
    counts, codes = Counts(0, 0, 0), []
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [sys.executable, "-m", "pytest", *options, *kind, f"--junitxml={report}"]
            # Its last line is that of the whole command: nothing is printed after it.
            codes.append(subprocess.run([*command, *paths], cwd=ROOT, check=False).returncode)
            if codes[-1] in ENDED:
                counts += read_counts(report)
        if codes[-1]:
            break
    if record and codes[-1] in ENDED:
        tests = ", ".join(Path(path).name for path in paths if path != "tests") or "all"
        row = row_of(name, f"{tests}, no long ones" if short else tests, counts)
        PAGE.write_text(with_row(PAGE.read_text(encoding="utf-8"), row), encoding="utf-8")
    return codes[-1]


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--jobs", default="auto", help="tests at a time (default: auto)")
    parser.add_argument("--short", action="store_true", help="leave out tests marked long")
    parser.add_argument("--record", action="store_true", help="the pinned set too is written down")
    given = parser.parse_args()
    record = given.record or given.set != "pinned"
    return run(given.set, jobs=given.jobs, short=given.short, record=record)


if __name__ == "__main__":
    sys.exit(main())
