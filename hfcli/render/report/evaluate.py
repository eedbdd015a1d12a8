"""An evaluation -> report.json, report.md and report.html."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hfcli.render.report.blocks import Block, Code, Notes, Page, Prose, Section, Table
from hfcli.render.report.history import is_number
from hfcli.render.report.markdown import markdown
from hfcli.render.report.page import html, write_text
from hfcli.render.report.scores import confusion_chart, per_class_chart, reliability_chart
from hfcli.render.report.text import NOTHING, interval, number, value_of, visible
from hfcli.render.report.worst import KEPT, Worst, worst_rows
from hfcli.render.streams import finite
from hfcli.runfolder.names import REPORT_FILE, REPORT_MARKDOWN, REPORT_PAGE

SCHEMA_FILE = Path(__file__).with_name("report.schema.json")
Report = Mapping[str, Any]


def write_eval_report(
    folder: Path, report: dict[str, Any], predictions: Iterable[Mapping[str, Any]]
) -> None:
    """Write report.json (the dict as it is), report.md and report.html into `folder`.

    Args:
        folder: made where it is missing.
        report: as `report.schema.json` says; NaN and infinity, which JSON lacks, become null.
        predictions: one mapping a row (see `worst.worst_rows`), read once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = _page(report, worst_rows(predictions, report.get("labels") or []))
    text = json.dumps(finite(report), ensure_ascii=False, indent=2, allow_nan=False)
    write_text(folder / REPORT_FILE, f"{text}\n")
    write_text(folder / REPORT_MARKDOWN, markdown(page))
    write_text(folder / REPORT_PAGE, html(page))


def _page(report: Report, worst: Worst) -> Page:
    matrix = report.get("confusion_matrix")
    candidates: list[tuple[str, list[Block]]] = [("Scores", _scores(report))]
    if report.get("per_class"):
        candidates.append(("Labels", [per_class_chart(report["per_class"])]))
    if matrix:
        candidates.append(
            ("Confusion matrix", [confusion_chart(matrix, report.get("labels") or [])])
        )
    if report.get("reliability"):
        candidates.append(("Calibration", [reliability_chart(report["reliability"])]))
    candidates += _looked_at(worst)
    candidates.append(("How it was made", _making(report)))
    sections = [Section(title, blocks) for title, blocks in candidates if blocks]
    return Page(f"Evaluation of {visible(str(report.get('model')))}", _facts(report), sections)


def _facts(report: Report) -> list[tuple[str, str]]:
    seconds = report.get("seconds")
    facts = {
        "task": report.get("task"),
        "model": report.get("model"),
        "revision": report.get("revision"),
        "data": report.get("data"),
        "split": report.get("split"),
        "rows": report.get("n_rows"),
        "time": None if seconds is None else f"{seconds:,.1f} s",
        "created": report.get("created"),
    }
    return [(name, number(value)) for name, value in facts.items() if value is not None]


def _scores(report: Report) -> list[Block]:
    rows = [
        [name, number(value_of(score)), interval(score), _method(score)]
        for name, score in (report.get("metrics") or {}).items()
        if value_of(score) is None or is_number(value_of(score))
    ]
    if all(row[3] == NOTHING for row in rows):
        rows = [row[:3] for row in rows]
    if all(row[2] == NOTHING for row in rows):
        rows = [row[:2] for row in rows]
    columns = ("score", "value", "95 % interval", "method")
    width = len(rows[0]) if rows else 2
    caption = f"On {number(report.get('n_rows'))} rows of {visible(str(report.get('data')))}"
    blocks: list[Block] = [Table(caption, columns[:width], rows, words=(0, 3))]
    return blocks + ([Notes(report["notes"])] if report.get("notes") else [])


def _method(score: Any) -> str:
    method = score.get("method") if isinstance(score, Mapping) else None
    return visible(str(method)) if method else NOTHING


def _looked_at(worst: Worst) -> list[tuple[str, list[Block]]]:
    found: list[tuple[str, list[Block]]] = []
    if worst.rows:
        found.append((worst.title, [Prose(worst.about), *worst.rows]))
    elif worst.title:
        found.append((worst.title, [Prose("No row is wrong.")]))
    if worst.failed:
        few = f"; the first {KEPT} are shown" if worst.n_failed > KEPT else ""
        rows = "1 row" if worst.n_failed == 1 else f"{worst.n_failed:,} rows"
        about = Prose(f"{rows} could not be scored{few}.")
        found.append(("Failed rows", [about, *worst.failed]))
    return found


def _making(report: Report) -> list[Block]:
    """What is needed to make the same numbers again."""
    blocks: list[Block] = []
    if report.get("command"):
        blocks.append(Code("The command", str(report["command"]), "sh"))
    hashes = [
        [name.removesuffix("_sha256"), str(report[name])]
        for name in ("weights_sha256", "data_sha256")
        if report.get(name)
    ]
    if hashes:
        blocks.append(Table("SHA-256", ("of", "hash"), hashes, words=(0, 1)))
    for name in ("settings", "versions"):
        rows = [[key, _setting(value)] for key, value in (report.get(name) or {}).items()]
        if rows:
            blocks.append(Table(name.capitalize(), ("name", "value"), rows, words=(0, 1)))
    return blocks


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
