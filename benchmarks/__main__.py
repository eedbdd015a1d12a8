"""python -m benchmarks: run the cases, show the table, write JSON and chart."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from pathlib import Path

from benchmarks.case import Context, all_cases
from benchmarks.processes import ROOT
from benchmarks.run import Measured, measure
from benchmarks.show import show, write_chart, write_json


def main() -> int:
    """Returns the exit code: 1 when a pair was refused."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="a case, or several as startup* (repeat)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns of each side (default: 3)")
    parser.add_argument("--quick", action="store_true", help="little work, to see that it runs")
    parser.add_argument("--list", action="store_true", help="name the cases, run nothing")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "bench", metavar="FOLDER")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    folder: Path = options.output.resolve()
    found = all_cases(Context(work=folder / "work", quick=options.quick))
    wanted = options.only or ["*"]
    chosen = [case for case in found if any(fnmatch.fnmatch(case.name, w) for w in wanted)]
    for want in wanted:
        if not any(fnmatch.fnmatch(case.name, want) for case in chosen):
            parser.error(f"no case {want!r}; there are: {', '.join(case.name for case in found)}")
    if options.list:
        print("\n".join(f"{case.name:28} {case.title}" for case in chosen))
        return 0
    (folder / "work").mkdir(parents=True, exist_ok=True)
    measured: list[Measured] = []
    for case in chosen:
        measured.append(measure(case, options.repeats, _tell))
        # After every case, so that an interrupted run leaves what it has measured.
        write_json(folder / "bench.json", measured, ["python", "-m", "benchmarks", *sys.argv[1:]])
        write_chart(folder / "bench.png", measured)
    show(measured)
    _tell(f"written: {folder / 'bench.json'}, {folder / 'bench.png'}")
    return int(any(pair.refused for one in measured for pair in one.pairs))


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
