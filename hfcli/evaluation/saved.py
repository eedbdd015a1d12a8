"""What `hfcli eval` wrote, read back: a report and its predictions. Computes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli.errors import DataError
from hfcli.evaluation.folder import has_changed
from hfcli.evaluation.predictions import is_prediction
from hfcli.runfolder.names import PREDICTIONS_FILE, RECIPE_FILE, REPORT_FILE

HINT = f"hfcli eval writes {REPORT_FILE} and {PREDICTIONS_FILE} into its output folder"


@dataclass(frozen=True)
class SavedRun:
    """An evaluation that is on disk.

    Args:
        name: its path, as the user gave it.
        report: what report.json says.
        rows: of the predictions, in the order of the data.
    """

    name: str
    report: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]

    @property
    def labels(self) -> list[str] | None:
        return self.report.get("labels")

    @property
    def data_sha256(self) -> str:
        return str(self.report["data_sha256"])


def read_run(path: Path) -> SavedRun:
    """An evaluation by its folder, by one of its two files, or by the run that it alone stands in.

    Raises:
        DataError: a file is not there, cannot be read, or is something else; a run with several
            evaluations, or none.
    """
    folder = path.parent if path.name in (REPORT_FILE, PREDICTIONS_FILE) else _evaluation_in(path)
    report = _read_report(folder / REPORT_FILE)
    if has_changed(folder):
        raise DataError(
            f"{folder / PREDICTIONS_FILE}: has changed since hfcli eval wrote it",
            hint="evaluate once more with --overwrite",
        )
    return SavedRun(str(path), report, _read_rows(folder / PREDICTIONS_FILE))


def _evaluation_in(folder: Path) -> Path:
    if (folder / REPORT_FILE).is_file():
        return folder
    inside = sorted(report.parent for report in folder.glob(f"*/{REPORT_FILE}"))
    if len(inside) > 1:
        found = ", ".join(map(str, inside))
        raise DataError(f"{folder}: holds {len(inside)} evaluations", hint=f"name one: {found}")
    if not inside and (folder / RECIPE_FILE).is_file():
        raise DataError(f"{folder}: has no evaluation", hint=f"hfcli eval {folder}")
    return inside[0] if inside else folder


def _read_report(path: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(_read(path))
    except (ValueError, RecursionError) as e:
        raise DataError(f"{path}: is not JSON ({e})") from e
    wanted = ("task", "model", "data", "data_sha256", "metrics")
    lacking = [key for key in wanted if not isinstance(report, dict) or key not in report]
    if lacking:
        raise DataError(
            f"{path}: is not a report of an evaluation: no {', '.join(lacking)}", hint=HINT
        )
    _check_types(path, report)
    return report  # type: ignore[no-any-return]


def _check_types(path: Path, report: Mapping[str, Any]) -> None:
    """
    Raises:
        DataError: a value is not of the type that hfcli eval writes.
    """
    labels = report.get("labels")
    wrong = [key for key in ("task", "model", "data") if not isinstance(report[key], str)]
    if not isinstance(report["metrics"], dict):
        wrong.append("metrics")
    if labels is not None and not (
        isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    ):
        wrong.append("labels")
    if wrong:
        raise DataError(
            f"{path}: is not a report of an evaluation: {', '.join(wrong)} of another type",
            hint=HINT,
        )


def _read_rows(path: Path) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    columns: set[str] | None = None
    for number, line in enumerate(_read(path).split("\n"), 1):
        if not line:
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as e:
            raise DataError(f"{path}:{number}: is not JSON ({e})") from e
        if not is_prediction(row):
            raise DataError(f"{path}:{number}: is not a prediction of an evaluation", hint=HINT)
        if row["error"] is None:
            columns = columns or {*row}
            if columns != row.keys():
                found = ", ".join(sorted(columns ^ row.keys()))
                raise DataError(f"{path}:{number}: differs from the rows above in having {found}")
        rows.append(row)
    return rows


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror})", hint=HINT) from e
    except UnicodeDecodeError as e:
        raise DataError(f"{path}: is not UTF-8 text") from e
