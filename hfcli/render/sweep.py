"""A sweep, or the plan of one -> one table on stdout, and on stderr what to do with it."""

from __future__ import annotations

import json
import os
from typing import Any

from rich.box import SIMPLE
from rich.text import Text

from hfcli.render.plan import GIB, clock
from hfcli.render.streams import write_err
from hfcli.render.tables import SafeTable, print_table
from hfcli.results import SeedGroup, SweepPlan, SweepResult

LONGEST_ERROR = 160  # characters; all of it was told when the run failed, and is in sweep.json


def show_sweep(result: SweepResult) -> None:
    """The runs, best first; where only the seed differs, mean and deviation at the first."""
    table = _table(result.keys)
    columns = [result.metric, *(["mean", "sd", "seeds"] if result.groups else []), "time", "run"]
    for name in columns:
        table.add_column(Text(name), justify="left" if name == "run" else "right")
    groups = {json.dumps(group.values): group for group in result.groups}
    for run in result.runs:
        shared = {key: value for key, value in run.values.items() if key != "seed"}
        # Said once, in the line of the best of them.
        group = groups.pop(json.dumps(shared), None)
        cells = [
            *map(_value, run.values.values()),
            _number(run.metrics.get(result.metric)),
            *(_spread(group) if result.groups else []),
            "-" if run.seconds is None else clock(run.seconds),
            run.state,
        ]
        table.add_row(*map(Text, cells))
    print_table(table)
    for run in result.runs:
        if run.error is not None:
            write_err(f"failed: {run.name}: {_begin(run.error)}")
    _show_best(result)


def show_sweep_plan(plan: SweepPlan) -> None:
    """Steps, time and memory of every run, and of all together."""
    table = _table(plan.keys)
    for name in ("steps", "rows a step", "time", "memory"):
        table.add_column(name, justify="right")
    for run in plan.runs:
        told = run.plan
        cells = ["-"] * 4
        if told is not None:
            cells = [
                f"{told.steps:,}",
                f"{told.rows_per_step:,}",
                clock(told.seconds),
                _gib(told.peak_memory),
            ]
        table.add_row(*map(Text, [*map(_value, run.values.values()), *cells]))
    print_table(table)
    for run in plan.runs:
        if run.error is not None:
            write_err(f"would fail: {run.name}: {_begin(run.error)}")
    write_err(
        f"{len(plan.runs)} runs in {_short(plan.output_dir)}, about {clock(plan.seconds)} together,"
        f" {_gib(plan.peak_memory)} at most"
    )


def _table(keys: list[str]) -> SafeTable:
    table = SafeTable(box=SIMPLE)
    for key in keys:
        table.add_column(Text(key))
    return table


def _show_best(result: SweepResult) -> None:
    best = result.runs[0]
    if best.metrics.get(result.metric) is None:
        return
    by = f"mean {result.metric}" if result.groups else result.metric
    write_err(f"best by {by}: {_short(best.folder)}")
    if sum(run.state == "done" for run in result.runs) > 1:
        write_err(
            "note: the best of several looks better than it is; rows that no run has seen say how"
            " good"
        )


def _spread(group: SeedGroup | None) -> list[str]:
    if group is None:
        return ["", "", ""]
    return [_number(group.mean), _number(group.sd), str(group.n)]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _gib(size: int | None) -> str:
    return "-" if size is None else f"{size / GIB:.1f} GiB"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _begin(error: str) -> str:
    line = error.splitlines()[0]
    return line if len(line) <= LONGEST_ERROR else f"{line[:LONGEST_ERROR]}…"


def _short(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
