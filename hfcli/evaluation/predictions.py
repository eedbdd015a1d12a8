"""Predictions: made of scores, journalled while they come, written, and read again by metrics.

Every row of the data has one, whether it could be scored or not. All scores are computed from the
file, so that anyone can check a report. Computes no metric.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli import files
from hfcli.errors import DataError, RunError
from hfcli.journal import JsonLog
from hfcli.runfolder.names import PREDICTIONS_FILE, SCORES_FILE
from hfcli.tasks.base import ORIGIN, Prepared, Reduced, Task, origin_of

if TYPE_CHECKING:
    from datasets import Dataset

TEXT_SHOWN = 500  # characters of a row's text that are kept for reading
ROWS_AT_ONCE = 1000
COUNTS = ("nll", "n_tokens", "n_bytes", "n_words", "parts")
REMEDY = "without this file, all rows are scored again"
Prediction = dict[str, Any]


def identified(name: str, text: str) -> Prediction:
    """Return what every prediction begins with.

    Args:
        name: which row of the data it is.
        text: of the row.
    """
    return {
        "id": name,
        "text": text[:TEXT_SHOWN],
        "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def predictions(
    *, task: Task, rows: Dataset, prepared: Prepared, reduced: Reduced
) -> Iterator[Prediction]:
    """Return one prediction a row, in the order of the data; with `error` where it has no scores.

    Args:
        task: says what came of a row.
        rows: the data.
        prepared: their features.
        reduced: what was computed for each feature.
    """
    outcomes = task.outcomes(prepared, reduced)
    following = next(outcomes, None)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        batch = rows[start : start + ROWS_AT_ONCE]
        for i in range(len(batch[task.columns()[0]])):
            origin = origin_of(batch, i, start + i)
            text = task.row_text({name: values[i] for name, values in batch.items()})
            row = identified(origin.rpartition("/")[2], text)
            if following is not None and following["origin"] == origin:
                scored = {k: v for k, v in following.items() if k != "origin"}
                yield {**row, **scored, "error": None}
                following = next(outcomes, None)
            else:
                yield {**row, "error": "empty, too long, or refused by the chat template"}


def data_hash(rows: Dataset) -> str:
    """SHA-256 of the rows by content, wherever they lie."""
    digest = hashlib.sha256()
    for start in range(0, len(rows), ROWS_AT_ONCE):
        batch = {k: v for k, v in rows[start : start + ROWS_AT_ONCE].items() if k != ORIGIN}
        for values in zip(*(batch[name] for name in sorted(batch)), strict=True):
            line = json.dumps([sorted(batch), *values], ensure_ascii=False, default=str)
            digest.update(line.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def write_predictions(folder: Path, rows: Iterable[Prediction]) -> Path:
    """Write predictions.jsonl, whole or not at all."""
    path = folder / PREDICTIONS_FILE
    with files.atomic(path) as partial, partial.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def read_predictions(path: Path) -> Iterator[Prediction]:
    """Return the rows of a predictions file, one at a time.

    Raises:
        DataError: a line is damaged.
    """
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not is_prediction(row):
                raise DataError(f"{path}:{number}: is not a prediction of an evaluation")
            yield row


def is_prediction(row: Any) -> bool:
    """Return whether a parsed line is a prediction of an evaluation."""
    return isinstance(row, dict) and {"id", "text_sha256", "error"} <= row.keys()


def metric_inputs(
    rows: Iterable[Mapping[str, Any]], labels: Sequence[str] | None
) -> dict[str, list[Any]]:
    """Argument name -> one value a row, for metrics; rows with an error are left out.

    Args:
        rows: of a predictions file.
        labels: label names in the order of their indices; None where predictions are not a label
            or a set of labels, and stay as they are.

    Returns:
        `predictions` and `references` (indices, 0 or 1 for each label, or numbers, texts and the
        labels of a row's units as they are), `probabilities`, and nll, n_tokens, n_bytes, n_words
        and parts: those that the rows have.

    Raises:
        DataError: a label that is not among `labels`.
    """
    scored = [row for row in rows if row["error"] is None]
    inputs = {name: [row[name] for row in scored] for name in COUNTS if _has(scored, name)}
    if _has(scored, "prediction"):
        index = {name: i for i, name in enumerate(labels or ())}
        inputs["predictions"] = [_encoded(row["prediction"], index) for row in scored]
        inputs["references"] = [_encoded(row["gold"], index) for row in scored]
    if _has(scored, "probabilities"):
        inputs["probabilities"] = [list(row["probabilities"]) for row in scored]
    return inputs


def _has(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return bool(rows) and name in rows[0]


def _encoded(value: Any, index: Mapping[str, int]) -> Any:
    if not index:
        return value
    unknown = {*(value if isinstance(value, list) else [value])} - index.keys()
    if unknown:
        raise DataError(f"label {min(unknown, key=str)!r} is not among the labels {list(index)}")
    if isinstance(value, list):
        return [int(name in value) for name in index]
    return index[value]


class ScoreLog:
    """What an evaluation has scored so far, on disk, so that a killed one resumes; a context.

    Numbers are written so that they read back as the same numbers.

    Args:
        folder: of the evaluation.
        key: everything the scores depend on, by content; another key begins anew.

    Attributes:
        done: feature number -> its reduced row.

    Raises:
        RunError: the log is damaged, or is not hfcli's.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / SCORES_FILE
        self.done: dict[int, tuple[float, ...]] = {}
        self._log = JsonLog(self.path, begins=b"", entry=_scored, remedy=(REMEDY, REMEDY))
        wanted = json.loads(json.dumps(key))
        try:
            self._log.resume(key, accepts=lambda header: header == wanted, keep=self._keep)
        except (RunError, OSError):
            self._log.close()
            raise

    def _keep(self, scored: tuple[int, tuple[float, ...]]) -> None:
        self.done[scored[0]] = scored[1]

    def __enter__(self) -> ScoreLog:
        return self

    def __exit__(self, *_error: object) -> None:
        self._log.close()

    def add(self, indices: Sequence[int], rows: Reduced) -> None:
        """Keep the rows of a batch."""
        self._log.append([i, *row] for i, row in zip(indices, rows, strict=True))
        self.done.update(zip(indices, rows, strict=True))

    def remove(self) -> None:
        """Delete the file: all of it stands in the predictions now."""
        self._log.remove()


def _scored(line: Any) -> tuple[int, tuple[float, ...]] | None:
    """The number of a feature, and its numbers; None for anything else."""
    numbers = isinstance(line, list) and all(type(n) in (int, float) for n in line)
    if numbers and len(line) > 1 and type(line[0]) is int:
        return line[0], tuple(line[1:])
    return None
