"""The charts of scores: confusion matrix, scores of every label, reliability.

Knows nothing about files or pages.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hfcli.render.report.blocks import Chart, Table
from hfcli.render.report.canvas import chart
from hfcli.render.report.history import is_finite
from hfcli.render.report.palette import Palette
from hfcli.render.report.text import NOTHING, interval, number, percent, shorten, value_of, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL_LENGTH = 20  # characters of a label in a chart; tables have it whole
CELLS_WITH_SHARE = 8  # labels of a matrix whose cells have room for count and share
CELLS_WITH_COUNT = 20
WRAPPED = 6  # labels that stand upright below their columns
NAMED = 60  # labels whose names can be read
FULL_MATRIX = 30  # labels; above it the table lists the most frequent confusions
BARS = 25
CONFUSIONS = 50
PER_CLASS = ("precision", "recall", "f1")


def confusion_chart(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> Chart:
    """A heat map of row shares, with counts where there is room.

    Args:
        counts: rows are true labels, columns predicted ones.
        labels: their names; numbers stand in where their count does not fit.
    """
    names = _names(labels, len(counts))
    totals = [sum(row) for row in counts]
    right = sum(row[i] for i, row in enumerate(counts))

    def plot(figure: Figure, palette: Palette) -> None:
        axes = figure.subplots()
        for y, row in enumerate(counts):
            for x, count in enumerate(row):
                _cell(axes, x, y, count, totals[y], len(counts), palette)
        _matrix_axes(axes, names)

    side = min(1.1 * len(counts), 0.32 * len(counts) + 3)
    made = chart(
        name="confusion_matrix",
        title="Confusion matrix",
        description=f"{right:,} of {sum(totals):,} rows are on the diagonal, which is right"
        f" ({percent(right, sum(totals))}). A cell's colour is its share of the true label's row.",
        size=(min(side + 1.9, 12), min(side + 1.2, 12)),
        plot=plot,
    )
    if len(counts) > FULL_MATRIX:
        return replace(made, table=_confusions(counts, names, totals))
    return replace(made, table=_matrix_table(counts, names, totals))


def per_class_chart(per_class: Mapping[str, Mapping[str, Any]]) -> Chart:
    """Bars of precision, recall and F1 for every label, the weakest first where there are many.

    Args:
        per_class: label -> precision, recall, f1 (numbers, or mappings with an interval), support.
    """
    ranked = list(per_class.items())
    if len(ranked) > BARS:
        ranked = sorted(ranked, key=lambda item: value_of(item[1].get("f1")) or 0.0)[:BARS]
    few = "" if len(ranked) == len(per_class) else f", the {BARS} labels with the lowest F1"
    names = [shorten(visible(str(label)), LABEL_LENGTH) for label, _ in ranked]

    def plot(figure: Figure, palette: Palette) -> None:
        panels = figure.subplots(1, 3, sharey=True, squeeze=False)[0]
        colors = (palette.first, palette.second, palette.third)
        for axes, key, color in zip(panels, PER_CLASS, colors, strict=True):
            _bars(axes, [scores.get(key) for _, scores in ranked], color, palette)
            axes.set_title("F1" if key == "f1" else key)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        panels[0].tick_params(axis="y", labelcolor=palette.ink)

    made = chart(
        name="per_class",
        title=f"Scores of every label{few}",
        description="Precision, recall and F1 of every label from 0 to 1, as in the table.",
        size=(7.2, 0.3 * len(names) + 0.9),
        plot=plot,
    )
    return replace(made, table=_per_class_table(per_class))


def reliability_chart(bins: Sequence[Mapping[str, Any]]) -> Chart:
    """Accuracy against confidence, and how many rows each bin holds.

    Args:
        bins: confidence (mean), accuracy, count; a bin without rows has count 0.
    """
    filled = [one for one in bins if one.get("count") and is_finite(one.get("confidence"))]

    def plot(figure: Figure, palette: Palette) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=palette.muted, linestyle=":", linewidth=1.2)
        x = [one["confidence"] for one in filled]
        upper.plot(x, [one["accuracy"] for one in filled], color=palette.first, marker="o")
        upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05), ylabel="accuracy")
        lower.bar(x, [one["count"] for one in filled], width=0.03, color=palette.first)
        lower.set(xlabel="confidence", ylabel="rows")

    gap = max((abs(one["confidence"] - one["accuracy"]) for one in filled), default=0.0)
    made = chart(
        name="reliability",
        title="Reliability",
        description="Accuracy of the rows of each bin of confidence. On the dotted diagonal"
        f" confidence and accuracy are equal; the widest gap is {number(gap)}.",
        size=(4.6, 4.6),
        plot=plot,
    )
    rows = [[number(one.get(k)) for k in ("confidence", "accuracy", "count")] for one in bins]
    table = Table("Bins of confidence", ("mean confidence", "accuracy", "rows"), rows, ())
    return replace(made, table=table)


def _names(labels: Sequence[str], size: int) -> list[str]:
    return [visible(str(x)) for x in (labels if len(labels) == size else range(size))]


def _cell(axes: Axes, x: int, y: int, count: int, total: int, size: int, palette: Palette) -> None:
    from matplotlib.patches import Rectangle

    if count:
        share = count / total
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=palette.heat, alpha=share, linewidth=0))
    if size <= CELLS_WITH_SHARE:
        axes.text(x + 0.5, y + 0.53, f"{count:,}", ha="center", va="bottom")
        axes.text(x + 0.5, y + 0.57, percent(count, total), ha="center", va="top", fontsize=8)
    elif size <= CELLS_WITH_COUNT and count:
        axes.text(x + 0.5, y + 0.5, f"{count:,}", ha="center", va="center", fontsize=8)


def _matrix_axes(axes: Axes, names: list[str]) -> None:
    size = len(names)
    # Too small to read: the table names the labels that matter.
    short = [_lines(name) if size <= NAMED else "" for name in names]
    steep = size > WRAPPED or max(_width(line) for n in short for line in n.split("\n")) > 13
    ticks = [i + 0.5 for i in range(size)]
    font = 9 if size <= CELLS_WITH_COUNT else max(3, 180 / size)
    axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal", xlabel="predicted", ylabel="true")
    axes.set_xticks(ticks, short, rotation=90 if steep else 0, fontsize=font)
    axes.set_yticks(ticks, short, fontsize=font)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.set_xticks(range(size + 1), minor=True)
    axes.set_yticks(range(size + 1), minor=True)
    axes.grid(size <= NAMED, which="minor")
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(True)


def _lines(name: str) -> str:
    """A label on up to two lines, about as wide as a cell."""
    return "\n".join(textwrap.wrap(shorten(name, LABEL_LENGTH), 12, max_lines=2)) or name


def _width(text: str) -> int:
    """Letters of Chinese, Japanese and Korean are as wide as two others."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def _bars(axes: Axes, scores: list[Any], color: str, palette: Palette) -> None:
    for y, score in enumerate(scores):
        value = value_of(score)
        if not is_finite(value):
            axes.text(1.04, y, NOTHING, va="center", fontsize=8)
            continue
        axes.barh(y, value, height=0.55, color=color)
        if isinstance(score, Mapping) and is_finite(score.get("low")):
            ends = (score["low"], score["high"])
            axes.plot(ends, (y, y), color=palette.ink, linewidth=1.2, marker="|", markersize=6)
        axes.text(1.04, y, f"{value:.2f}", va="center", fontsize=8)
    axes.set(xlim=(0, 1.0), xticks=(0, 0.5, 1))
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)


def _matrix_table(counts: Sequence[Sequence[int]], names: list[str], totals: list[int]) -> Table:
    rows = [
        [names[y], *(f"{n:,} ({percent(n, totals[y])})" for n in row), f"{totals[y]:,}"]
        for y, row in enumerate(counts)
    ]
    columns = ["true \\ predicted", *names, "rows"]
    return Table("Counts, and shares of the true label's row", columns, rows)


def _confusions(counts: Sequence[Sequence[int]], names: list[str], totals: list[int]) -> Table:
    cells = [(count, y, x) for y, row in enumerate(counts) for x, count in enumerate(row) if x != y]
    worst = sorted((cell for cell in cells if cell[0]), key=lambda c: (-c[0], c[1], c[2]))
    rows = [[names[y], names[x], f"{n:,}", percent(n, totals[y])] for n, y, x in worst[:CONFUSIONS]]
    caption = f"The {len(rows)} most frequent confusions of {len(worst):,}"
    return Table(caption, ("true", "predicted", "rows", "share of true"), rows, (0, 1))


def _per_class_table(per_class: Mapping[str, Mapping[str, Any]]) -> Table:
    with_intervals = any(isinstance(s.get(k), Mapping) for s in per_class.values() for k in s)
    columns = ["label"]
    for key in PER_CLASS:
        columns += [key, "95 % interval"] if with_intervals else [key]
    rows = []
    for label, scores in per_class.items():
        row = [visible(str(label))]
        for key in PER_CLASS:
            row.append(number(value_of(scores.get(key))))
            row += [interval(scores.get(key))] if with_intervals else []
        rows.append([*row, number(scores.get("support"))])
    return Table("Scores of every label", [*columns, "rows"], rows)
