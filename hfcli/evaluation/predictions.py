"""Predictions -> what metrics read. A report and anyone who reads its predictions use the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hfcli.errors import DataError

COUNTS = ("nll", "n_tokens", "n_bytes", "n_words", "parts")


def metric_inputs(
    rows: Iterable[Mapping[str, Any]], labels: Sequence[str] | None
) -> dict[str, list[Any]]:
    """Argument name -> one value a row, for metrics; rows with an error are left out.

    Args:
        rows: of a predictions file.
        labels: label names in the order of their indices; None where predictions are not labels.

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
        # Lists beside a probability a label are sets of labels, others one label a unit of the row.
        units = isinstance(scored[0]["gold"], list) and not _has(scored, "probabilities")
        index = {} if units else {name: i for i, name in enumerate(labels or ())}
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
