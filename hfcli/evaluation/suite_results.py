"""What lm-evaluation-harness returns -> scores with intervals, and one row an example.

Values are the harness's own. Where every example is right or wrong the interval is Wilson's, else
it is made of the harness's standard error. Knows nothing about models.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hfcli.evaluation.predictions import identified
from hfcli.statistics.proportions import Z, wilson

NO_FILTER = "none"
STDERR = "_stderr"


@dataclass(frozen=True)
class Suite:
    """The results of all tasks.

    Args:
        metrics: `task/metric` -> value; of another filter than none, `task/metric,filter`.
        intervals: of those that have one: low, high and method.
        tasks: name -> version, examples before each prompt (`n_shot`), rows that were scored, rows
            there are, and the standard errors.
        higher_is_better: of every metric whose direction is known.
        rows: one prediction an example.
        data_sha256: of the examples by content.
    """

    metrics: dict[str, float]
    intervals: dict[str, dict[str, Any]]
    tasks: dict[str, dict[str, Any]]
    higher_is_better: dict[str, bool]
    rows: list[dict[str, Any]]
    data_sha256: str

    def notes(self) -> list[str]:
        """A sentence a task."""
        return [
            f"{name}: version {task['version']}, {task['n_shot']}-shot,"
            f" {task['rows']:,} of {task['of']:,} rows"
            for name, task in self.tasks.items()
        ]


def read_results(results: Mapping[str, Any]) -> Suite:
    """What `lm_eval.evaluator.simple_evaluate` returned with its samples."""
    metrics: dict[str, float] = {}
    intervals: dict[str, dict[str, Any]] = {}
    better: dict[str, bool] = {}
    samples: Mapping[str, Sequence[Any]] = results["samples"]
    for task, found in results["results"].items():
        for metric, name, value, error in _scores(found):
            shown = f"{task}/{name}"
            metrics[shown] = value
            direction = (results["higher_is_better"].get(task) or {}).get(metric[0])
            if direction is not None:
                better[shown] = bool(direction)
            values = _values(samples.get(task, ()), metric)
            interval = _interval(value, error, values)
            if interval is not None:
                intervals[shown] = interval
    rows = [row for task, own in samples.items() for row in _rows(task, own)]
    content = sorted((task, sample["doc_hash"]) for task, own in samples.items() for sample in own)
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return Suite(metrics, intervals, _tasks(results), better, rows, digest)


def _scores(found: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str, float, float | None]]:
    """(metric and filter), the name shown, value and standard error of every score of a task."""
    for key, value in found.items():
        metric, comma, kept = key.partition(",")
        if not comma or metric.endswith(STDERR) or not isinstance(value, int | float):
            continue
        error = found.get(f"{metric}{STDERR},{kept}")
        known = isinstance(error, int | float) and math.isfinite(error)
        name = metric if kept == NO_FILTER else key
        yield (metric, kept), name, float(value), float(error) if known else None  # type: ignore[arg-type]


def _values(samples: Sequence[Mapping[str, Any]], metric: tuple[str, str]) -> list[Any]:
    """The value of each example, of samples that went through this filter."""
    name, kept = metric
    return [sample.get(name) for sample in samples if sample.get("filter", kept) == kept]


def _interval(value: float, error: float | None, values: list[Any]) -> dict[str, Any] | None:
    n = len(values)
    if n and all(one in (0, 1) for one in values) and math.isclose(sum(values) / n, value):
        low, high = wilson(round(sum(values)), n)
        return {"low": low, "high": high, "method": "Wilson"}
    if error is None:
        return None
    half = Z * error
    return {"low": value - half, "high": value + half, "method": "lm-eval's standard error"}


def _tasks(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of the tasks that were run; groups of them are scores only."""
    return {
        name: {
            "version": results["versions"].get(name),
            "n_shot": results["n-shot"].get(name),
            "rows": results["n-samples"][name]["effective"],
            "of": results["n-samples"][name]["original"],
            "stderr": {shown: error for _, shown, _, error in _scores(found)},
        }
        for name, found in results["results"].items()
        if name in results["n-samples"]
    }


def _rows(task: str, samples: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for sample in samples:
        kept = sample.get("filter", NO_FILTER)
        tail = "" if kept == NO_FILTER else f"/{kept}"
        text = str(sample["arguments"][0][0])
        yield {
            **identified(f"{task}/{sample['doc_id']}{tail}", text),
            "target": _plain(sample["target"]),
            "response": _plain(sample["filtered_resps"]),
            "scores": {name: _plain(sample[name]) for name in sample["metrics"] if name in sample},
            "error": None,
        }


def _plain(value: Any) -> Any:
    """As JSON can hold it."""
    return json.loads(json.dumps(value, default=str))
