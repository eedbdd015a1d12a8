"""A comparison of runs -> tables, and the rows that they disagree on. No rich markup of data."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE
from rich.text import Text

from hfcli.render.streams import write_err, write_line, write_out
from hfcli.render.tables import SafeTable, print_table
from hfcli.results import CompareResult, Comparison, Flip, MetricDifference

TEXT_SHOWN = 160  # characters of a row


def show_compare(result: CompareResult) -> None:
    """For every pair: a table of metrics, then the flips, all on stdout."""
    for comparison in result.comparisons:
        _show_pair(comparison, result.data)
    for note in result.notes:
        write_err(note)


def _show_pair(comparison: Comparison, data: str) -> None:
    left_out = comparison.n_left_out
    write_line(f"A: {comparison.a} ({comparison.model_a})")
    write_line(f"B: {comparison.b} ({comparison.model_b})")
    write_line(
        f"{comparison.n_rows:,} rows of {data}"
        + (f", {left_out:,} left out that one of them did not score" if left_out else "")
    )
    print_table(_table(comparison.metrics))
    for reason, names in _without_interval(comparison.metrics).items():
        write_line(f"no interval for {', '.join(names)}: {reason}")
    if comparison.right_by is not None:
        write_out(
            f"{comparison.n_only_a:,} rows are right in A only, {comparison.n_only_b:,} in B only"
            f" (by {comparison.right_by})\n"
        )
        _show_flips("A", comparison.only_a, comparison.n_only_a)
        _show_flips("B", comparison.only_b, comparison.n_only_b)


def _table(metrics: Sequence[MetricDifference]) -> SafeTable:
    table = SafeTable("metric", box=SIMPLE)
    for column in ("A", "B", "B - A", "95 % interval", "p", "p (Holm)"):
        table.add_column(column, justify="right")
    table.add_column("test")
    for row in metrics:
        table.add_row(
            Text(row.metric),
            _number(row.a),
            _number(row.b),
            _number(row.difference, sign="+"),
            "-" if row.low is None else f"{_number(row.low, '+')} to {_number(row.high, '+')}",
            _p(row.p),
            _p(row.p_holm),
            Text(row.test),
        )
    return table


def _without_interval(metrics: Sequence[MetricDifference]) -> dict[str, list[str]]:
    """Reason -> the metrics that have no interval for it."""
    reasons: dict[str, list[str]] = {}
    for row in metrics:
        if row.low is None:
            reasons.setdefault(row.interval, []).append(row.metric)
    return reasons


def _show_flips(side: str, flips: Sequence[Flip], total: int) -> None:
    if not flips:
        return
    more = f", the first {len(flips):,}" if len(flips) < total else ""
    write_out(f"\nright in {side} only{more}:\n")
    for flip in flips:
        write_line(f"  {flip.id}: {_value(flip.gold)}, A: {_value(flip.a)}, B: {_value(flip.b)}")
        write_line(f"    {_one_line(flip.text)}")


def _number(value: float | None, sign: str = "") -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:{sign}.4f}" if abs(value) < 1e6 else f"{value:{sign}.4g}"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if value >= 1e-4 else f"{value:.1e}"


def _value(value: Any) -> str:
    """A label as it is; a list or a generated text as JSON, shortened."""
    if isinstance(value, str) and len(value) <= 40 and value.isprintable():
        return value
    return _one_line(json.dumps(value, ensure_ascii=False))


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TEXT_SHOWN else f"{line[:TEXT_SHOWN]}..."
