"""Figures -> a table on the terminal, a JSON file, and a chart. Measures nothing."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.run import Measured, Pair, Spread

LIBRARIES = (
    "hfcli", "torch", "transformers", "accelerate", "tokenizers",
    "llama-cpp-python", "openvino", "ctranslate2", "vllm",
)  # fmt: skip
WIDTH = 140  # where there is no terminal
ABOVE, BELOW = "#1b7f5c", "#c4552d"


def machine() -> dict[str, Any]:
    """What the figures depend on, beside the code."""
    import psutil

    cpu = Path("/proc/cpuinfo")
    told = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    name = next((x.partition(":")[2].strip() for x in told if x.startswith("model name")), "")
    flags = next((x.partition(":")[2].split() for x in told if x.startswith("flags")), [])
    return {
        "processor": name or platform.processor(),
        "instructions": [flag for flag in flags if flag.startswith(("avx2", "avx512_bf", "amx"))],
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: found for name in LIBRARIES if (found := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def show(measured: Sequence[Measured]) -> None:
    """The table, on stdout."""
    table = Table(title="hfcli against plain scripts (times as fast; more is better)")
    for name in ("work", "against", "side"):
        table.add_column(name, overflow="fold")
    for name in ("ratio", "min to max", "at least", "aim", "seconds"):
        table.add_column(name, justify="right")
    for one in measured:
        for i, pair in enumerate(one.pairs):
            first = (one.title, one.against) if i == 0 else ("", "")
            bounds = _bounds(one) if i == 0 else ("", "")
            table.add_row(*first, pair.side, *_figures(one, pair), *bounds, _seconds(one, pair))
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table)
    for one in measured:
        for pair in one.pairs:
            for reason in pair.refused:
                console.print(f"refused: {one.name}, {pair.side}: {reason}", soft_wrap=True)


def _figures(one: Measured, pair: Pair) -> tuple[str, str]:
    if pair.refused:
        return "refused", ""
    if pair.ratio is not None:
        return f"{pair.ratio.median:.2f}x", f"{pair.ratio.low:.2f} to {pair.ratio.high:.2f}"
    spread = Spread.of(pair.seconds)
    return f"{spread.median:.3f} s", f"{spread.low:.3f} to {spread.high:.3f}"


def _bounds(one: Measured) -> tuple[str, str]:
    unit = " s" if one.limit else "x"
    return f"{one.at_least:g}{unit}", f"{one.aim:g}{unit}"


def _seconds(one: Measured, pair: Pair) -> str:
    if one.limit or not pair.seconds or not one.plain_seconds:
        return ""
    plain, own = Spread.of(one.plain_seconds), Spread.of(pair.seconds)
    return f"{plain.median:.3g} / {own.median:.3g}"


def write_json(path: Path, measured: Sequence[Measured], command: Sequence[str]) -> None:
    """Everything, each turn included."""
    told = {
        "command": list(command),
        "machine": machine(),
        "cases": [one.to_dict() for one in measured],
    }
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def write_chart(path: Path, measured: Sequence[Measured]) -> None:
    """Ratios with their spread, beside what is asked for; nothing where there is no ratio."""
    from matplotlib.figure import Figure

    rows = [
        (one, pair, pair.ratio)
        for one in measured
        for pair in one.pairs
        if pair.ratio is not None
    ]  # fmt: skip
    if not rows:
        return
    figure = Figure(figsize=(8, 1.2 + 0.45 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, (one, _, ratio) in enumerate(rows):
        color = ABOVE if ratio.median >= one.at_least else BELOW
        error = [[ratio.median - ratio.low], [ratio.high - ratio.median]]
        axes.barh(y, ratio.median, color=color, height=0.55, xerr=error, capsize=3)
        axes.plot([one.at_least], [y], "|", color="black", markersize=18, markeredgewidth=2)
        axes.plot([one.aim], [y], "D", color="black", markersize=4)
    axes.set_yticks(range(len(rows)), [f"{one.name} ({pair.side})" for one, pair, _ in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.xaxis.set_major_formatter("{x:g}x")
    axes.set_xlabel("times as fast as the plain script   (| at least, ◆ aim)")
    figure.savefig(path, dpi=160)
