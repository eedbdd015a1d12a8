"""Saved evaluations of the same rows -> by how much they differ, and whether by chance.

The first run is compared with each of the others, row by row; p-values are adjusted for all tests
that are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli.errors import DataError, RecipeError
from hfcli.evaluation.predictions import metric_inputs
from hfcli.evaluation.saved import SavedRun, read_run
from hfcli.metrics import shipped_metrics
from hfcli.metrics.base import Metric
from hfcli.results import CompareResult, Comparison, Flip, MetricDifference
from hfcli.shown import listed
from hfcli.statistics.form import right_by
from hfcli.statistics.paired import Difference, differences
from hfcli.statistics.proportions import holm
from hfcli.tasks import task_classes

Columns = dict[str, list[Any]]
SAME_ROW = ("text_sha256", "gold")


@dataclass(frozen=True)
class Pair:
    """Two runs, and what metrics read of the rows that both scored.

    Args:
        rows: of the first run and of the other.
        skipped: names in both reports that cannot be computed again.
    """

    first: SavedRun
    other: SavedRun
    rows: list[tuple[Mapping[str, Any], Mapping[str, Any]]]
    a: Columns
    b: Columns
    metrics: dict[str, Metric]
    skipped: list[str]

    @property
    def options(self) -> dict[str, Any]:
        return {"labels": list(range(len(self.first.labels or ())))}


def compare(*, runs: Sequence[Path], flips: int, seed: int) -> CompareResult:
    """Compare the first run with each of the others.

    Args:
        runs: folders that `hfcli eval` wrote, two or more.
        flips: most rows that are listed in each direction.
        seed: of the draws.

    Raises:
        RecipeError: fewer than two runs.
        DataError: a run cannot be read, is on other data, or knows other labels.
    """
    if len(runs) < 2:
        raise RecipeError(
            "compare takes two runs or more", hint="hfcli compare FOLDER FOLDER, written by eval"
        )
    first, *others = [read_run(path) for path in runs]
    for other in others:
        check_same_rows(first, other)
    pairs = [_pair(first, other) for other in others]
    found = [
        differences(metrics=p.metrics, a=p.a, b=p.b, options=p.options, seed=seed) for p in pairs
    ]
    adjusted = _adjusted(found)
    skipped = sorted({name for pair in pairs for name in pair.skipped})
    return CompareResult(
        task=first.report["task"],
        data=first.report["data"],
        data_sha256=first.data_sha256,
        comparisons=[
            _comparison(pair, _rows_of(differing, holm_p), flips)
            for pair, differing, holm_p in zip(pairs, found, adjusted, strict=True)
        ],
        notes=[f"not compared, since hfcli does not ship them: {', '.join(skipped)}"]
        if skipped
        else [],
    )


def check_same_rows(first: SavedRun, other: SavedRun) -> None:
    """Two runs are compared on the same rows and labels only.

    Raises:
        DataError: they are on other data, by its hash or by a row, or know other labels.
    """
    if first.data_sha256 != other.data_sha256:
        raise DataError(
            [
                "the runs are on different data",
                f"{first.name}: {first.report['data']}, sha256 {first.data_sha256}",
                f"{other.name}: {other.report['data']}, sha256 {other.data_sha256}",
            ],
            hint="evaluate both on the same file",
        )
    ours, theirs = first.labels or [], other.labels or []
    if sorted(ours) != sorted(theirs):
        raise DataError(
            [
                "the runs know different labels",
                f"{first.name}: {listed(ours) or 'none'}",
                f"{other.name}: {listed(theirs) or 'none'}",
            ]
        )
    if len(first.rows) != len(other.rows):
        raise DataError(
            f"{first.name} has {len(first.rows):,} predictions, {other.name} {len(other.rows):,}"
        )
    for number, (a, b) in enumerate(zip(first.rows, other.rows, strict=True), 1):
        for key in SAME_ROW:
            if key in a and key in b and a[key] != b[key]:
                raise DataError(
                    f"{first.name} and {other.name}: row {number} ({a['id']}) has another {key}:"
                    f" {a[key]!r} and {b[key]!r}"
                )


def _pair(first: SavedRun, other: SavedRun) -> Pair:
    rows = [
        (a, b)
        for a, b in zip(first.rows, other.rows, strict=True)
        if a["error"] is None and b["error"] is None
    ]
    if not rows:
        raise DataError(f"{first.name} and {other.name}: no row was scored by both")
    task = task_classes().get(first.report["task"])
    labels = None if task is not None and task.has_units else first.labels
    a = metric_inputs([row for row, _ in rows], labels)
    b = metric_inputs([row for _, row in rows], labels)
    if first.labels != other.labels:
        _reorder(b, first, other)
    names = [name for name in first.report["metrics"] if name in other.report["metrics"]]
    known = shipped_metrics()
    return Pair(
        first, other, rows, a, b,
        metrics={
            name: known[name]
            for name in names
            if name in known
            and known[name].higher_is_better is not None
            and set(known[name].inputs) <= a.keys() & b.keys()
        },
        skipped=[name for name in names if name not in known and name != "loss"],
    )  # fmt: skip


def _reorder(b: Columns, first: SavedRun, other: SavedRun) -> None:
    """Put the other run's probabilities into the first one's order of labels."""
    if "probabilities" in b:
        theirs = other.labels or []
        order = [theirs.index(label) for label in first.labels or []]
        b["probabilities"] = [[row[i] for i in order] for row in b["probabilities"]]


def _adjusted(found: Sequence[Mapping[str, Difference]]) -> list[dict[str, float]]:
    """Holm's p of every test that was made, over all of them."""
    places = [(i, name) for i, each in enumerate(found) for name in each]
    tests = [(i, name, p) for i, name in places if (p := found[i][name].p) is not None]
    adjusted: list[dict[str, float]] = [{} for _ in found]
    for (i, name, _), p in zip(tests, holm([p for _, _, p in tests]), strict=True):
        adjusted[i][name] = p
    return adjusted


def _rows_of(
    found: Mapping[str, Difference], holm_p: Mapping[str, float]
) -> list[MetricDifference]:
    return [
        MetricDifference(
            name, d.a, d.b, d.difference, d.low, d.high, d.interval, d.p, holm_p.get(name), d.test
        )
        for name, d in found.items()
    ]


def _comparison(pair: Pair, metrics: list[MetricDifference], flips: int) -> Comparison:
    name, only_a, only_b = _flips(pair)
    return Comparison(
        a=pair.first.name,
        b=pair.other.name,
        model_a=pair.first.report["model"],
        model_b=pair.other.report["model"],
        n_rows=len(pair.rows),
        n_left_out=len(pair.first.rows) - len(pair.rows),
        metrics=metrics,
        right_by=name,
        n_only_a=len(only_a),
        n_only_b=len(only_b),
        only_a=only_a[:flips],
        only_b=only_b[:flips],
    )


def _flips(pair: Pair) -> tuple[str | None, list[Flip], list[Flip]]:
    """By which metric, and the rows that only one run got right."""
    found = right_by(pair.metrics)
    if found is None:
        return None, [], []
    name, is_right = found
    only_a: list[Flip] = []
    only_b: list[Flip] = []
    sides = ([value == 1 for value in is_right(side).tolist()] for side in (pair.a, pair.b))
    for rows, a, b in zip(pair.rows, *sides, strict=True):
        if a != b:
            (only_a if a else only_b).append(_flip(*rows))
    return name, only_a, only_b


def _flip(a: Mapping[str, Any], b: Mapping[str, Any]) -> Flip:
    return Flip(
        id=str(a["id"]),
        text=str(a.get("text", "")),
        gold=a.get("gold"),
        a=a.get("prediction"),
        b=b.get("prediction"),
    )
