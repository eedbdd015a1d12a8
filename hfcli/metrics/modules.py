"""Metrics as `evaluate` modules: the shipped ones by name, without the network; Hub ids with it.

The classes are made in a factory, because they must subclass `evaluate.Metric`, whose import
takes seconds. Knows nothing about models or data.
"""

from __future__ import annotations

from typing import Any

from hfcli import hub
from hfcli.errors import DataError
from hfcli.metrics import shipped_metrics
from hfcli.metrics.base import Metric

FEATURE_TYPES = {int: "int64", float: "float64"}


def load_module(name: str, *, offline: bool = False) -> Any:
    """An `evaluate.EvaluationModule`: shipped when `name` has no slash, else from the Hub.

    Raises:
        DataError: a Hub metric that is neither cached nor reachable, or cannot be loaded.
    """
    metric = shipped_metrics().get(name)
    if metric is not None:
        return make_module(metric)
    if offline or not hub.reachable():
        hub.go_offline()
    import evaluate

    evaluate.disable_progress_bar()
    try:
        # In memory: a file would be locked against a second instance.
        return evaluate.load(name, keep_in_memory=True)
    except (FileNotFoundError, ConnectionError) as e:
        raise DataError(
            f"metric {name}: not in the local cache, and the Hub has no such metric or cannot be"
            " reached",
            hint=f"shipped metrics need no network: {', '.join(shipped_metrics())}",
        ) from e
    except ImportError as e:
        raise DataError(f"metric {name}: {str(e).splitlines()[0]}") from e


def make_module(metric: Metric) -> Any:
    """Dress a shipped metric as an `evaluate.Metric` that computes in memory."""
    import datasets
    import evaluate

    class ShippedMetric(evaluate.Metric):  # type: ignore[misc]
        def _info(self) -> Any:
            return evaluate.MetricInfo(
                description=metric.description,
                citation="",
                features=datasets.Features(
                    {k: datasets.Value(FEATURE_TYPES[v]) for k, v in metric.inputs.items()}
                ),
            )

        def _compute(self, **inputs: Any) -> dict[str, Any]:
            return {metric.name: metric.compute(**inputs)}

    ShippedMetric.__name__ = metric.name
    return ShippedMetric(keep_in_memory=True)
