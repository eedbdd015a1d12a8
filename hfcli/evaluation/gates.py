"""Conditions that scores must meet, for CI jobs. Knows nothing about how scores come about."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli.errors import DataError, GateError, RecipeError, did_you_mean
from hfcli.metrics import higher_is_better

Limits = dict[str, float]


@dataclass(frozen=True)
class Gates:
    """What is asked of the scores; each maps a metric to a number.

    Args:
        fail_under: least value.
        fail_over: greatest value, for metrics that are better when lower.
        fail_under_ci: least value of the interval's lower bound.
        max_drop: by how much a metric may be worse than in the baseline.
        baseline: report.json or result.json of an earlier run, for `max_drop`.
    """

    fail_under: Limits
    fail_over: Limits
    fail_under_ci: Limits
    max_drop: Limits
    baseline: Path | None = None


def parse_gates(
    *,
    fail_under: Sequence[str] = (),
    fail_over: Sequence[str] = (),
    fail_under_ci: Sequence[str] = (),
    max_drop: Sequence[str] = (),
    baseline: Path | None = None,
) -> Gates:
    """Flags such as `accuracy=0.9` -> gates.

    Raises:
        RecipeError: a flag that is not METRIC=NUMBER, or max_drop without baseline.
    """
    if bool(max_drop) != (baseline is not None):
        raise RecipeError("--max-drop and --baseline go together")
    return Gates(
        _limits("--fail-under", fail_under),
        _limits("--fail-over", fail_over),
        _limits("--fail-under-ci", fail_under_ci),
        _limits("--max-drop", max_drop),
        baseline,
    )


def check(gates: Gates, report: Mapping[str, Any]) -> None:
    """Compare a report's metrics with the gates.

    Raises:
        GateError: one is not met; the message says which, and by how much.
        RecipeError: a gate names a metric that was not measured.
    """
    metrics: Mapping[str, Any] = report["metrics"]
    failed = [
        f"{name} is {_value(metrics, name):.4f}, under {limit:g}"
        for name, limit in gates.fail_under.items()
        if not _value(metrics, name) >= limit
    ]
    failed += [
        f"{name} is {_value(metrics, name):.4f}, over {limit:g}"
        for name, limit in gates.fail_over.items()
        if not _value(metrics, name) <= limit
    ]
    failed += [
        f"the lower bound of {name} is {_low(metrics, name):.4f}, under {limit:g}"
        for name, limit in gates.fail_under_ci.items()
        if not _low(metrics, name) >= limit
    ]
    known = (report.get("settings") or {}).get("higher_is_better") or {}  # of a suite
    failed += _drops(gates, metrics, known)
    if failed:
        raise GateError("; ".join(failed))


def _drops(gates: Gates, metrics: Mapping[str, Any], known: Mapping[str, bool]) -> list[str]:
    if gates.baseline is None:
        return []
    before = _read_metrics(gates.baseline)
    failed = []
    for name, limit in gates.max_drop.items():
        old, new = _value(before, name, str(gates.baseline)), _value(metrics, name)
        drop = old - new if known.get(name, higher_is_better(name)) else new - old
        if not drop <= limit:
            failed.append(f"{name} went from {old:.4f} to {new:.4f}, more than {limit:g} worse")
    return failed


def _read_metrics(path: Path) -> Mapping[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        metrics: Mapping[str, Any] = told["metrics"]
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror})") from e
    except (ValueError, KeyError, TypeError) as e:
        raise DataError(
            f"{path}: is no report (no metrics in it)",
            hint="--baseline takes the report.json of an evaluation",
        ) from e
    return metrics


def _limits(flag: str, given: Sequence[str]) -> Limits:
    limits = {}
    for item in given:
        name, equals, text = item.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not equals or not name or math.isnan(value):
            raise RecipeError(f"{flag} {item}: expected METRIC=NUMBER, such as accuracy=0.9")
        limits[name] = value
    return limits


def _entry(metrics: Mapping[str, Any], name: str, where: str = "the evaluation") -> Any:
    if name not in metrics:
        near = did_you_mean(name, metrics)
        tail = f"did you mean {near}?" if near else f"known: {', '.join(metrics)}"
        raise RecipeError(f"{where} has no metric {name!r}, {tail}")
    return metrics[name]


def _value(metrics: Mapping[str, Any], name: str, where: str = "the evaluation") -> float:
    entry = _entry(metrics, name, where)
    value = entry["value"] if isinstance(entry, Mapping) else entry
    return math.nan if not isinstance(value, int | float) else float(value)


def _low(metrics: Mapping[str, Any], name: str) -> float:
    entry = _entry(metrics, name)
    low = entry.get("low") if isinstance(entry, Mapping) else None
    if low is None:
        raise RecipeError(f"--fail-under-ci {name}: this metric has no interval")
    return float(low)
