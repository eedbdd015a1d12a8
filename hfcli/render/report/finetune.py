"""A finished finetune run -> report.html, PNG charts and the model card, in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from hfcli.render.model_card import model_card, short_name
from hfcli.render.report.blocks import (
    Block,
    Code,
    Excerpts,
    Notes,
    Page,
    Prose,
    Section,
    Table,
)
from hfcli.render.report.curves import learning_rate_chart, loss_chart, metrics_chart
from hfcli.render.report.history import is_number, read_history
from hfcli.render.report.page import html, write_bytes, write_text
from hfcli.render.report.scores import confusion_chart
from hfcli.render.report.text import number, percent, visible
from hfcli.runfolder.names import CARD_FILE, REPORT_PAGE

LABELS_SHOWN = 50  # of a histogram
Result = Mapping[str, Any]


def write_finetune_report(folder: Path, result: dict[str, Any], recipe_text: str) -> None:
    """Write report.html, README.md (a model card) and loss.png, learning_rate.png, metrics.png and
    confusion_matrix.png, as far as there is something to draw.

    Args:
        folder: of the run; its metrics.jsonl and samples.jsonl are read where they exist.
        result: `FinetuneResult.to_dict()`; `labels`, `confusion_matrix` (rows are true labels) and
            `data` (split -> counts) may be absent.
        recipe_text: the resolved recipe as YAML.

    Raises:
        RunError: a line of those files is not JSON.
    """
    history = read_history(folder)
    matrix = result.get("confusion_matrix")
    charts = {
        "Loss": loss_chart(history),
        "Learning rate": learning_rate_chart(history),
        "Validation": metrics_chart(history),
        "Confusion matrix": confusion_chart(matrix, result.get("labels") or []) if matrix else None,
    }
    drawn = [Section(title, [made]) for title, made in charts.items() if made is not None]
    known = [Section("Scores", _scores(result)), *drawn]
    data = _data(result.get("data") or {})
    known += [Section("Data", data)] if data else []
    for made in filter(None, charts.values()):
        write_bytes(folder / f"{made.name}.png", made.png)
    card = model_card(folder=folder, result=result, recipe_text=recipe_text, known=known)
    write_text(folder / CARD_FILE, card)
    known += [Section("Samples", _samples(history.samples))] if history.samples else []
    known.append(Section("Recipe", [Code("The resolved recipe", recipe_text, "yaml")]))
    write_text(
        folder / REPORT_PAGE,
        html(Page(f"Finetuning of {short_name(result)}", _facts(result), known)),
    )


def _scores(result: Result) -> list[Block]:
    """The final scores as a table, or the sentence that there are none; and the run's notes."""
    rows = [
        [name, number(value)]
        for name, value in (result.get("metrics") or {}).items()
        if is_number(value)
    ]
    blocks: list[Block] = []
    if rows:
        blocks.append(Table("The saved model on the validation split", ("score", "value"), rows))
    else:
        blocks.append(Prose("The run had no validation split, so the model was not scored."))
    if result.get("notes"):
        blocks.append(Notes(result["notes"]))
    return blocks


def _data(data: Mapping[str, Any]) -> list[Block]:
    """What happened to the rows of every split, and how often each label occurs."""
    splits = {name: counts for name, counts in data.items() if isinstance(counts, Mapping)}
    keys = dict.fromkeys(k for c in splits.values() for k, v in c.items() if _is_plain(v))
    tables: list[Block] = []
    if keys:
        rows = [[name, *(_count(key, counts.get(key)) for key in keys)]
                for name, counts in splits.items()]  # fmt: skip
        columns = ["split", *(key.replace("_", " ") for key in keys)]
        tables.append(Table("Rows of every split", columns, rows))
    for name, counts in splits.items():
        for key, histogram in counts.items():
            if isinstance(histogram, Mapping) and histogram:
                tables.append(_histogram(f"{name}: {key.replace('_', ' ')}", histogram))
    return tables


def _samples(samples: Sequence[Mapping[str, Any]]) -> list[Block]:
    """The texts of every evaluated step, those of the last one open."""
    steps = [(step, list(texts)) for step, texts in groupby(samples, lambda one: one.get("step"))]
    return [
        Excerpts(
            summary=f"step {number(step)}",
            texts=[
                pair
                for one in texts
                for pair in (("prompt", one.get("prompt", "")), ("text", one.get("text", "")))
            ],
            is_open=i == len(steps) - 1,
        )
        for i, (step, texts) in enumerate(steps)
    ]


def _facts(result: Result) -> list[tuple[str, str]]:
    seconds = result.get("seconds")
    tokens = result.get("tokens_seen") or None
    facts = {
        "task": result.get("task"),
        "started from": _model(result),
        "revision": result.get("revision"),
        "steps": result.get("steps"),
        "epochs": None if result.get("epochs") is None else f"{result['epochs']:.3g}",
        "training rows": result.get("train_rows"),
        "tokens seen": tokens,
        "training time": None if seconds is None else f"{seconds:,.1f} s",
        "tokens/s": f"{tokens / seconds:,.0f}" if tokens and seconds else None,
        "device": result.get("device"),
        "precision": _precision(result),
        "seed": None if result.get("seed") is None else str(result["seed"]),
    }
    return [(name, number(value)) for name, value in facts.items() if value is not None]


def _precision(result: Result) -> str | None:
    if result.get("bf16") is None:
        return None
    return "bfloat16 autocast" if result["bf16"] else "float32"


def _model(result: Result) -> str:
    return visible(str(result.get("model") or "a model"))


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _count(key: str, value: Any) -> str:
    return percent(value, 1) if key.endswith("share") and is_number(value) else number(value)


def _histogram(caption: str, counts: Mapping[str, Any]) -> Table:
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    total = sum(counts.values())
    shown = ranked[:LABELS_SHOWN]
    part = "" if len(shown) == len(ranked) else f", {len(shown)} of {len(ranked):,}"
    rows = [[visible(str(name)), number(n), percent(n, total)] for name, n in shown]
    return Table(f"{caption}{part}", ("label", "rows", "share"), rows)
