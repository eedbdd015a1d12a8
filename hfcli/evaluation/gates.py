"""Conditions that scores must meet, for CI jobs. Knows nothing about how scores come about."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli.errors import DataError, GateError, RecipeError, did_you_mean
from hfcli.metrics import higher_is_better
from hfcli.origins import as_typed
from hfcli.user_text import parse_json, read_text

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
        raise RecipeError(f"{as_typed('--max-drop')} and {as_typed('--baseline')} go together")
    return Gates(
        _limits(as_typed("--fail-under"), fail_under),
        _limits(as_typed("--fail-over"), fail_over),
        _limits(as_typed("--fail-under-ci"), fail_under_ci),
        _limits(as_typed("--max-drop"), max_drop),
        baseline,
    )


def check_names(gates: Gates, measured: Iterable[str]) -> None:
    """See that the gates can be checked, before anything is scored.

    Args:
        gates: what is asked.
        measured: names of all metrics that there will be.

    Raises:
        RecipeError: gates name others; all of them are told.
        DataError: the baseline cannot be read.
    """
    known = list(measured)
    asked = (gates.fail_under, gates.fail_over, gates.fail_under_ci, gates.max_drop)
    unknown = _lacking([name for limits in asked for name in limits], known)
    if gates.baseline is not None:
        before = _read_metrics(gates.baseline)
        unknown += _lacking(gates.max_drop, before, str(gates.baseline))
    if unknown:
        raise RecipeError("; ".join(unknown))


def check(gates: Gates, report: Mapping[str, Any]) -> None:
    """Compare a report's metrics with the gates.

    Raises:
        GateError: one is not met; the message says which, by how much, and what else is wrong.
        RecipeError: a gate names a metric that was not measured, and none failed.
    """
    metrics: Mapping[str, Any] = report["metrics"]
    known = (report.get("settings") or {}).get("higher_is_better") or {}  # of a suite
    asked = {**gates.fail_under, **gates.fail_over, **gates.fail_under_ci, **gates.max_drop}
    unknown = _lacking(asked, metrics)
    failed = [
        f"{name} is {_value(metrics[name]):.4f}, under {limit:g}"
        for name, limit in gates.fail_under.items()
        if name in metrics and not _value(metrics[name]) >= limit
    ]
    failed += [
        f"{name} is {_value(metrics[name]):.4f}, over {limit:g}"
        for name, limit in gates.fail_over.items()
        if name in metrics and not _value(metrics[name]) <= limit
    ]
    for name, limit in gates.fail_under_ci.items():
        low = _low(metrics.get(name))
        if low is not None and not low >= limit:
            failed.append(f"the lower bound of {name} is {low:.4f}, under {limit:g}")
        elif low is None and name in metrics:
            unknown.append(f"{as_typed('--fail-under-ci')} {name}: this metric has no interval")
    if gates.baseline is not None:
        before = _read_metrics(gates.baseline)
        unknown += _lacking(gates.max_drop, before, str(gates.baseline))
        failed += _drops(gates.max_drop, before, metrics, known)
    if failed:
        raise GateError("; ".join([*failed, *unknown]))
    if unknown:
        raise RecipeError("; ".join(unknown))


def _drops(
    limits: Limits,
    before: Mapping[str, Any],
    metrics: Mapping[str, Any],
    known: Mapping[str, bool],
) -> list[str]:
    failed = []
    for name, limit in limits.items():
        if name in before and name in metrics:
            old, new = _value(before[name]), _value(metrics[name])
            drop = old - new if known.get(name, higher_is_better(name)) else new - old
            if not drop <= limit:
                failed.append(f"{name} went from {old:.4f} to {new:.4f}, more than {limit:g} worse")
    return failed


def _read_metrics(path: Path) -> Mapping[str, Any]:
    try:
        told = parse_json(read_text(path, DataError))
        metrics: Mapping[str, Any] = dict(told["metrics"])
    except (ValueError, KeyError, TypeError) as e:
        raise DataError(
            f"{path}: is not a report (no metrics in it)",
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


def _lacking(
    names: Iterable[str], metrics: Iterable[str], where: str = "the evaluation"
) -> list[str]:
    """A sentence for each name that is none of the metrics."""
    known, told = list(metrics), []
    for name in dict.fromkeys(names):
        if name not in known:
            near = did_you_mean(name, known)
            tail = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
            told.append(f"{where} has no metric {name!r}, {tail}")
    return told


def _value(entry: Any) -> float:
    value = entry["value"] if isinstance(entry, Mapping) else entry
    return math.nan if not isinstance(value, int | float) else float(value)


def _low(entry: Any) -> float | None:
    """The interval's lower bound; None where there is no interval."""
    low = entry.get("low") if isinstance(entry, Mapping) else None
    return None if low is None else float(low)
