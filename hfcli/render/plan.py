"""The plan of a run -> text: numbers, what becomes of the rows, examples with what is learned."""

from __future__ import annotations

import sys

from rich.box import SIMPLE
from rich.console import Console
from rich.text import Text

from hfcli.render.streams import write_line, write_out
from hfcli.render.tables import SafeTable, print_table
from hfcli.results import Example, PlanResult
from hfcli.shown import visible

GIB = 2**30


def show_plan(result: PlanResult) -> None:
    """Everything on stdout; what is learned is underlined on a terminal, in »« elsewhere."""
    table = SafeTable("plan", box=SIMPLE, show_header=False)
    table.add_column("value")
    for name, value in _lines(result):
        table.add_row(Text(name), Text(value))
    print_table(table)
    for name, counts in result.data.items():
        print_table(_counts(name, counts))
    for example in result.examples:
        _show_example(example)


def _lines(result: PlanResult) -> list[tuple[str, str]]:
    rows, longest = result.longest_batch
    share = result.trained_parameters / max(1, result.parameters)
    lines = [
        ("task", result.task),
        ("model", result.model),
        ("device", f"{result.device}{', bfloat16' if result.bf16 else ''}"),
        ("steps", f"{result.steps:,} of {result.rows_per_step} rows, {result.epochs:.3g} epochs"),
        ("rows", f"{result.train_rows:,} after splitting and packing"),
        ("tokens an epoch", f"{result.tokens_per_epoch:,}"),
        ("padding", f"{result.padding_share:.1%} of what is computed"),
        ("largest batch", f"{rows} rows of {longest} tokens"),
        ("trained", f"{result.trained_parameters:,} of {result.parameters:,} ({share:.1%})"),
        ("time", f"about {clock(result.seconds)}"),
    ]
    if result.peak_memory is not None:
        lines.append(("memory", f"about {result.peak_memory / GIB:.1f} GiB at most"))
    lines.append(("encoded rows", "found in the cache" if result.cached else "made now"))
    return lines


def _counts(split: str, counts: dict[str, object]) -> SafeTable:
    table = SafeTable(box=SIMPLE)
    table.add_column(f"{split} rows")
    table.add_column("", justify="right")
    for name, value in counts.items():
        if isinstance(value, int) and (value or name in ("rows", "kept")):
            table.add_row(Text(name.replace("_", " ")), f"{value:,}")
    labels = counts.get("labels")
    for label, count in labels.items() if isinstance(labels, dict) else ():
        table.add_row(Text(f"label {label}"), f"{count:,}")
    return table


def _show_example(example: Example) -> None:
    write_out("\n")
    write_line(example.origin)
    if sys.stdout.isatty():
        text = Text()
        for part, learned in example.parts:
            text.append(visible(part), style="underline" if learned else "dim")
        Console(highlight=False).print(text, soft_wrap=True)
    else:
        write_out("".join(f"»{visible(p)}«" if own else visible(p) for p, own in example.parts))
        write_out("\n")


def clock(seconds: float) -> str:
    """Seconds, minutes or hours, rounded."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
