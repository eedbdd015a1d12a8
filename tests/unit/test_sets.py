"""The table of tested versions: one row a set, Python and system, with pytest's own counts."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from tests.helpers import ROOT
from tests.sets import COLUMNS, PAGE, SETS, Counts, read_counts, row_of, with_row

HEAD = f"# V\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"


def row(name: str, python: str, system: str = "Linux x86_64", passed: int = 1) -> list[str]:
    cells = row_of(name, "all", Counts(passed, 0, 2))
    return [name, python, system, *cells[3:]]


def rows(page: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ") and not line.startswith("| set")
    ]


def test_a_row_replaces_the_one_of_its_set_python_and_system_only() -> None:
    page = HEAD + "\nafter\n"
    mac = row("pinned", "3.11.7", "Darwin arm64")
    kept = [row("oldest", "3.11.7"), row("pinned", "3.12.1"), mac]
    for cells in [*kept, row("pinned", "3.11.7"), row("pinned", "3.11.9", passed=1234)]:
        page = with_row(page, cells)
    assert page.endswith("\n\nafter\n")
    found = rows(page)
    assert len(found) == 4
    assert all(cells in found for cells in kept)
    assert row("pinned", "3.11.9", passed=1234) in found
    assert [cells[0] for cells in found] == ["pinned", "pinned", "pinned", "oldest"]


def test_counts_are_those_of_pytests_report(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="10" failures="2" errors="1" skipped="3"/></testsuites>'
    )
    assert read_counts(report) == Counts(passed=4, failed=3, skipped=3)


def test_the_page_of_this_repository_takes_a_row_of_every_set() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in SETS:
        cells = row(name, "3.99.0")
        assert cells in rows(with_row(page, cells))


def test_the_oldest_set_is_the_floor_of_every_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needs = [*project["dependencies"]]
    needs += [need for name in ("structured", "quantized", "lm-eval") for need in extras[name]]
    lines = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(
        line.lower().replace("_", "-").split("==", 1) for line in lines if not line.startswith("#")
    )
    floors = {}
    for need in map(Requirement, needs):
        floors[need.name] = next(s.version for s in need.specifier if s.operator == ">=")
    assert floors.pop("torch") == "2.6"  # `make test-oldest TORCH=...`
    for name, floor in floors.items():
        assert Version(pins[name]) == Version(floor), name
