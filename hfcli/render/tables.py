"""Results -> tables and closing lines. Numbers are those of `to_dict`, rounded to four places."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from hfcli import shell
from hfcli.render.streams import write_err, write_out
from hfcli.results import BulkResult, EvalResult, FinetuneResult, GenerateResult
from hfcli.shown import visible_line

WIDE = 10_000  # columns; nothing may be cut off in a pipe


class SafeTable(Table):
    """A table whose cells show control characters, line feeds too, instead of obeying them."""

    def add_column(self, header: RenderableType = "", *args: Any, **options: Any) -> None:
        """As rich's."""
        super().add_column(_safe(header), *args, **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """As rich's."""
        super().add_row(*map(_safe, cells), **options)


def _safe(cell: Any) -> Any:
    if isinstance(cell, Text):
        return Text(visible_line(cell.plain), cell.style)
    return visible_line(cell) if isinstance(cell, str) else cell


def show_eval(result: EvalResult) -> None:
    """Scores with their intervals on stdout, then those of each label and the confusion matrix."""
    report = result.to_report()
    table = SafeTable("metric", box=SIMPLE, title=None)
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, score in report["metrics"].items():
        found = score if isinstance(score, dict) else {"value": score}
        table.add_row(Text(name), _number(found["value"]), _interval(found))
    print_table(table)
    if report["per_class"]:
        print_table(_per_class(report["per_class"]))
    if report["confusion_matrix"]:
        matrix = _matrix("confusion_matrix", report["confusion_matrix"], result.labels or [])
        print_table(matrix)
    skipped = f" ({result.n_skipped:,} more were not scored)" if result.n_skipped else ""
    split = f" ({result.split})" if result.split else ""
    write_err(
        f"{result.n_rows:,} rows{skipped} of {result.data}{split} with {result.model}"
        f" on {result.device} in {result.seconds:.1f} s"
    )
    write_err(f"report: {_short(result.output_dir)}/report.html")


def _per_class(labels: dict[str, dict[str, Any]]) -> SafeTable:
    table = SafeTable("label", box=SIMPLE)
    first = next(iter(labels.values()))
    for name, score in first.items():
        table.add_column(name, justify="right")
        if isinstance(score, dict):
            table.add_column("95 %", justify="right")
    for label, values in labels.items():
        cells: list[str] = []
        for score in values.values():
            if isinstance(score, dict):
                cells += [_number(score["value"]), _interval(score)]
            else:
                cells.append(_number(score))
        table.add_row(Text(label), *cells)
    return table


def _interval(score: dict[str, Any]) -> str:
    if score.get("low") is None:
        return ""
    return f"{_number(score['low'])} to {_number(score['high'])}"


def show_finetune(result: FinetuneResult) -> None:
    """The validation scores on stdout; where the model is and what to do with it on stderr."""
    table = SafeTable("validation metric", box=SIMPLE)
    table.add_column("value", justify="right")
    for name, value in result.metrics.items():
        table.add_row(Text(name), _number(value))
    if result.metrics:
        print_table(table)
    write_err(
        f"{result.steps:,} steps ({result.epochs:.3g} epochs) in {result.seconds:.0f} s on"
        f" {result.device}{' in bfloat16' if result.bf16 else ''}; model in {result.output_dir}"
    )
    folder = shell.quote(_short(result.output_dir))
    for command in result.try_next:
        write_err(f"next: {command.format(folder=folder)}")


def show_generate(results: Sequence[GenerateResult], *, guesses: bool) -> None:
    """The closing line of a generation, on stderr; with what became of guesses, if asked for."""
    first = results[0]
    tokens = sum(result.n_new_tokens for result in results)
    guessed = first.acceptance_rate if guesses else None
    write_err(
        f"{tokens} tokens, {first.tokens_per_second:.1f} tokens/s, {first.model},"
        f" seed {first.seed}" + ("" if guessed is None else f", {guessed:.0%} of the guesses stood")
    )


def show_recipes(recipes: Sequence[Mapping[str, str]]) -> None:
    """The shipped recipes, one a line, on stdout."""
    columns = ("name", "task", "model", "data", "about")
    table = SafeTable(*columns, box=SIMPLE)
    for recipe in recipes:
        table.add_row(*(Text(recipe[column]) for column in columns))
    print_table(table)


def describe_bulk(result: BulkResult) -> str:
    """The closing line of a bulk run."""
    parts = [f"{result.texts:,} texts for {result.rows:,} rows in {result.output}"]
    if result.resumed:
        parts.append(f"{result.resumed:,} of them from before")
    if result.skipped_rows:
        parts.append(f"{result.errors:,} failed and were skipped ({result.skipped_rows[0]}, ...)")
    elif result.errors:
        parts.append(f"{result.errors:,} failed (see their error)")
    if result.n_new_tokens:
        parts.append(
            f"{result.n_new_tokens:,} tokens in {result.seconds:.1f} s,"
            f" {result.tokens_per_second:.1f} tokens/s in batches of {result.batch_size}"
        )
    elif result.resumed:
        parts.append("nothing was left to do")
    return ", ".join(parts)


def _matrix(name: str, counts: list[list[int]], labels: list[str]) -> SafeTable:
    table = SafeTable(box=SIMPLE)
    table.add_column(Text(f"{name}: true \\ predicted"))
    names = labels if len(labels) == len(counts) else [str(i) for i in range(len(counts))]
    for label in names:
        table.add_column(Text(label), justify="right")
    for label, row in zip(names, counts, strict=True):
        table.add_row(Text(label), *(str(count) for count in row))
    return table


def _number(value: Any) -> str:
    if value is None or value != value:
        return "-"  # not defined for these rows
    if isinstance(value, int):
        return str(value)
    return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.4g}"


def print_table(table: Table) -> None:
    """A table on stdout, as wide as it is in a pipe."""
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else WIDE, highlight=False)
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    write_out("\n".join(line for line in lines if line) + "\n")


def _short(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
