"""The charts of a run over its steps: loss, learning rate, one panel a score.

A chart exists only where there is something to draw. Knows nothing about files or pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hfcli.render.report.blocks import Chart, Table
from hfcli.render.report.canvas import chart
from hfcli.render.report.history import History, is_finite, thin
from hfcli.render.report.palette import Palette
from hfcli.render.report.text import number, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.2  # inches
PANELS = 12
TABLE_ROWS = 12
POINTS_WITH_MARKERS = 30
SMOOTH_FROM = 60  # logged steps; below, every point can be seen
Points = list[tuple[float, float]]


def loss_chart(history: History) -> Chart | None:
    """Training and validation loss over steps; a long run also as a running mean."""
    train = _points(history.training, "loss")
    held = _points(history.evaluations, "loss")
    if not train and not held:
        return None

    def plot(figure: Figure, palette: Palette) -> None:
        axes = figure.subplots()
        if len(train) >= SMOOTH_FROM:
            _line(axes, train, palette.first, label="training", alpha=0.35, linewidth=0.8)
            width = max(2, len(train) // 50)
            label = f"training, mean of {2 * width + 1} logged steps"
            _line(axes, _running_mean(train, width), palette.first, label=label)
        elif train:
            _line(axes, train, palette.first, label="training")
        if held:
            _line(axes, held, palette.second, label="validation", linestyle="--", marker="s")
        axes.set_ylabel("loss")
        figure.legend(loc="outside upper left", ncols=3, borderaxespad=0)

    said = [_said("training loss", train), _said("validation loss", held)]
    made = chart(
        name="loss",
        title="Loss over steps",
        description=" ".join(filter(None, said)),
        size=(WIDTH, 3.6),
        plot=plot,
    )
    return replace(made, table=_training_table(history.training))


def learning_rate_chart(history: History) -> Chart | None:
    """The schedule as it was."""
    points = _points(history.training, "learning_rate")
    if not points:
        return None

    def plot(figure: Figure, palette: Palette) -> None:
        axes = figure.subplots()
        _line(axes, points, palette.first)
        axes.set_ylabel("learning rate")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")

    top = max(value for _, value in points)
    return chart(
        name="learning_rate",
        title="Learning rate over steps",
        description=f"{_said('learning rate', points)} Its highest value is {number(top)}.",
        size=(WIDTH, 2.4),
        plot=plot,
    )


def metrics_chart(history: History) -> Chart | None:
    """A panel for every score but the loss, each with a scale of its own."""
    table = _evaluation_table(history)
    series = {
        name: points
        for name in history.scores()
        if name != "loss" and (points := _points(history.evaluations, name))
    }
    if not series:
        return None
    shown = list(series.items())[:PANELS]
    columns = min(2, len(shown))
    rows = math.ceil(len(shown) / columns)

    def plot(figure: Figure, palette: Palette) -> None:
        panels = figure.subplots(rows, columns, squeeze=False, gridspec_kw={"hspace": 0.08})
        flat = [panel for row in panels for panel in row]
        for panel, (name, points) in zip(flat, shown, strict=False):
            _line(panel, points, palette.second, marker="s")
            last_step, last = points[-1]
            panel.set_title(f"{visible(name)}: {number(last)} at step {last_step:,}")
            panel.margins(y=0.15)
        for panel in flat[len(shown) :]:
            panel.set_axis_off()

    left_out = len(series) - len(shown)
    said = [_said(name, points) for name, points in shown]
    said += [f"{left_out} more scores are in the table."] if left_out else []
    made = chart(
        name="metrics",
        title="Validation scores over steps",
        description=" ".join(said),
        size=(WIDTH, 2.1 * rows),
        plot=plot,
    )
    return replace(made, table=table)


def _line(axes: Axes, points: Points, color: str, marker: str = "o", **style: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.plot(
        [step for step, _ in points],
        [value for _, value in points],
        color=color,
        marker=marker if len(points) <= POINTS_WITH_MARKERS else None,
        **style,
    )
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _points(lines: Sequence[dict[str, Any]], key: str) -> Points:
    return [(line["step"], line[key]) for line in lines if is_finite(line.get(key))]


def _running_mean(points: Points, width: int) -> Points:
    """The mean of each point and up to `width` neighbours on both sides."""
    sums = [0.0]
    for _, value in points:
        sums.append(sums[-1] + value)
    means = []
    for i, (step, _) in enumerate(points):
        low, high = max(0, i - width), min(len(points), i + width + 1)
        means.append((step, (sums[high] - sums[low]) / (high - low)))
    return means


def _said(name: str, points: Points) -> str:
    """The course of a curve in a sentence."""
    if not points:
        return ""
    (first_step, first), (last_step, last) = points[0], points[-1]
    name = visible(name)
    if len(points) == 1:
        return f"The {name} is {number(first)} at step {first_step:,}."
    return (
        f"The {name} is {number(first)} at step {first_step:,}"
        f" and {number(last)} at step {last_step:,}."
    )


def _short(key: str, value: Any) -> str:
    """A number without digits that say nothing."""
    digits = {"epoch": ".2f", "tokens_per_second": ",.0f"}.get(key)
    return format(value, digits) if digits and is_finite(value) else number(value)


def _training_table(lines: list[dict[str, Any]]) -> Table | None:
    if not lines:
        return None
    names = {"step": "step", "epoch": "epoch", "loss": "loss", "grad_norm": "gradient norm",
             "learning_rate": "learning rate", "tokens_per_second": "tokens/s"}  # fmt: skip
    keys = [key for key in names if any(line.get(key) is not None for line in lines)]
    shown = thin(lines, TABLE_ROWS)
    part = "" if len(shown) == len(lines) else f", {len(shown)} of {len(lines):,} logged steps"
    return Table(
        caption=f"Training{part}",
        columns=[names[key] for key in keys],
        rows=[[_short(key, line.get(key)) for key in keys] for line in shown],
        words=(),
    )


def _evaluation_table(history: History) -> Table | None:
    lines = history.evaluations
    if not lines:
        return None
    keys = ["step", "epoch", *history.scores()]
    shown = thin(lines, 4 * TABLE_ROWS)
    part = "" if len(shown) == len(lines) else f", {len(shown)} of {len(lines):,} evaluations"
    return Table(
        caption=f"Validation{part}",
        columns=[visible(key) for key in keys],
        rows=[[_short(key, line.get(key)) for key in keys] for line in shown],
        words=(),
    )
