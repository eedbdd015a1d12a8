"""The metrics hfcli ships. A metric is one function and one entry in its family's file.

A family is a file with a tuple `METRICS`. The numbers are computed by plain functions, so that
training can use them without importing `evaluate`; `hfcli.metrics.modules` dresses the same
functions as `evaluate` modules.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from types import ModuleType

from hfcli import plugins
from hfcli.metrics.base import Metric

FAMILIES = (
    "classification", "probabilistic", "calibration", "multilabel", "regression",
    "language_modeling", "multiple_choice", "text",
)  # fmt: skip


def families() -> dict[str, ModuleType]:
    """Import the file of each family; most recipes name no metric, and need none."""
    return {name: import_module(f"hfcli.metrics.{name}") for name in FAMILIES}


@cache
def own_metrics() -> dict[str, Metric]:
    """Name -> metric of hfcli's own, over all families."""
    return {metric.name: metric for family in families().values() for metric in family.METRICS}


@cache
def shipped_metrics() -> dict[str, Metric]:
    """Name -> metric: hfcli's own, then those of other packages.

    Raises:
        RunError: a package of a metric cannot be imported.
    """
    own = own_metrics()
    added = (name for name in plugins.names(plugins.METRICS) if name not in own)
    return {**own, **{name: plugins.load(plugins.METRICS, name) for name in added}}


def is_metric(name: str) -> bool:
    """Return whether a recipe or `--metric` may give the name without the network."""
    return name in own_metrics() or name in shipped_metrics()


def metric_names() -> list[str]:
    """The names for which `is_metric` holds."""
    return list(shipped_metrics())


def scalar_metrics(names: Iterable[str]) -> list[str]:
    """Those of the names that have a direction; a matrix has none."""
    return [name for name in names if _known(name).higher_is_better is not None]


def _known(name: str) -> Metric:
    own = own_metrics()
    return own[name] if name in own else shipped_metrics()[name]


def higher_is_better(name: str) -> bool:
    """Direction of a shipped metric; `loss` and unknown names count as lower is better."""
    metric = shipped_metrics().get(name)
    return bool(metric and metric.higher_is_better)
