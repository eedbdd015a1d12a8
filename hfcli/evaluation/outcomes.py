"""Scored features -> one prediction a row of the data, none left out. Computes no metric."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli import files
from hfcli.errors import DataError
from hfcli.tasks.base import ORIGIN, Prepared, Reduced, Task, origin_of

if TYPE_CHECKING:
    from datasets import Dataset

PREDICTIONS_FILE = "predictions.jsonl"
TEXT_SHOWN = 500  # characters of a row's text that are kept for reading
ROWS_AT_ONCE = 1000
Prediction = dict[str, Any]


def predictions(
    *, task: Task, rows: Dataset, prepared: Prepared, reduced: Reduced
) -> Iterator[Prediction]:
    """One prediction a row, in the order of the data; rows that were not scored have an `error`.

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
            told: Prediction = {
                "id": origin.rpartition("/")[2],
                "text": text[:TEXT_SHOWN],
                "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
            }
            if following is not None and following["origin"] == origin:
                scored = {k: v for k, v in following.items() if k != "origin"}
                yield {**told, **scored, "error": None}
                following = next(outcomes, None)
            else:
                yield {
                    **told,
                    "error": "empty, too long, or refused by the chat template",
                }


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
                row: Prediction = json.loads(line)
                known = {"id", "text_sha256", "error"} <= row.keys()
            except (ValueError, AttributeError, RecursionError):
                known = False
            if not known:
                raise DataError(f"{path}:{number}: is not a prediction of an evaluation")
            yield row
