"""The metrics hfcli ships. A metric is one function and one entry in its family's file.

A family is a file with a tuple `METRICS`. The numbers are computed by plain functions, so that
training can use them without importing `evaluate`; `hfcli.metrics.modules` dresses the same
functions as `evaluate` modules.
"""

from __future__ import annotations

from collections.abc import Iterable

from hfcli.metrics import (
    calibration,
    classification,
    language_modeling,
    multilabel,
    multiple_choice,
    probabilistic,
    regression,
    text,
)
from hfcli.metrics.base import Metric

FAMILIES = (
    classification,
    probabilistic,
    calibration,
    multilabel,
    regression,
    language_modeling,
    multiple_choice,
    text,
)


def shipped_metrics() -> dict[str, Metric]:
    """Name -> metric, over all families."""
    return {metric.name: metric for family in FAMILIES for metric in family.METRICS}


def metric_names() -> list[str]:
    """The names a recipe or `--metric` may give without the network."""
    return list(shipped_metrics())


def scalar_metrics(names: Iterable[str]) -> list[str]:
    """Those of the names that have a direction; a matrix has none."""
    known = shipped_metrics()
    return [name for name in names if known[name].higher_is_better is not None]


def higher_is_better(name: str) -> bool:
    """Direction of a shipped metric; `loss` and unknown names count as lower is better."""
    metric = shipped_metrics().get(name)
    return bool(metric and metric.higher_is_better)
