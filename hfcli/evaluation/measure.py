"""What metrics read -> their values, by `evaluate` modules, and how sure they are.

Knows nothing about models or files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hfcli.errors import DataError
from hfcli.metrics import shipped_metrics
from hfcli.metrics.base import Metric
from hfcli.metrics.language_modeling import ROW_LOSS, TOKEN_LOSS
from hfcli.statistics.blocks import blocks_of
from hfcli.statistics.intervals import LEAST_ROWS, intervals
from hfcli.statistics.proportions import Interval


def loss(inputs: Mapping[str, list[Any]]) -> dict[str, float]:
    """What training minimizes: nats a token or row, or of numbers the mean squared error."""
    if "nll" in inputs:
        return {
            "loss": sum(inputs["nll"]) / sum(inputs.get("n_tokens") or [1] * len(inputs["nll"]))
        }
    pairs = zip(inputs["predictions"], inputs["references"], strict=True)
    return {"loss": sum((p - r) ** 2 for p, r in pairs) / len(inputs["references"])}


def score_intervals(
    *,
    names: Iterable[str],
    inputs: Mapping[str, list[Any]],
    options: Mapping[str, Any],
    seed: int,
    with_loss: bool = True,
) -> dict[str, Any]:
    """Return the interval of every shipped metric: low, high and method.

    Args:
        names: of the metrics that were computed.
        inputs: what they read, one value a row; `parts` of documents, where these are few, are
            drawn instead of them.
        options: further arguments of metrics; `labels` are the classes.
        seed: of the draws.
        with_loss: `loss` has an interval, too.

    Returns:
        Metric -> its interval, or a list of them, one a class.
    """
    shipped = shipped_metrics()
    metrics = {name: shipped[name] for name in names if name in shipped}
    loss = _loss_metric(inputs)
    if with_loss and loss is not None:
        metrics = {"loss": loss, **metrics}
    found: dict[str, Any] = {
        name: _as_dict(interval)
        for name, interval in intervals(
            metrics=metrics, inputs=inputs, options=options, seed=seed
        ).items()
    }
    if "parts" in inputs and len(inputs["parts"]) < LEAST_ROWS:
        found |= _of_blocks(metrics, inputs["parts"], options, seed)
    for name, metric in metrics.items():
        if metric.form.each_class is not None:
            of_classes = metric.form.each_class(inputs, options["labels"])
            found[name] = [_as_dict(interval) for interval in of_classes]
    return found


def _of_blocks(
    metrics: Mapping[str, Metric], documents: list[Any], options: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Intervals of language modelling over blocks of windows."""
    blocks = blocks_of(documents)
    n = len(blocks["nll"])
    own = {
        name: metric for name, metric in metrics.items() if metric.inputs.keys() <= blocks.keys()
    }
    found = intervals(metrics=own, inputs=blocks, options=options, seed=seed, in_order=True)
    few = f"fewer than {LEAST_ROWS} documents, and of blocks of windows"
    return {
        name: _as_dict(interval)
        | {"method": f"{interval.method} of {n:,} blocks" if n >= LEAST_ROWS else few}
        for name, interval in found.items()
    }


def _loss_metric(inputs: Mapping[str, list[Any]]) -> Metric | None:
    """`loss` as a metric that has an interval."""
    if "nll" not in inputs:
        return shipped_metrics()["mse"] if "predictions" in inputs else None
    if "n_tokens" in inputs:
        return TOKEN_LOSS
    return None if isinstance(inputs["nll"][0], list) else ROW_LOSS


def _as_dict(interval: Interval) -> dict[str, Any]:
    return {"low": interval.low, "high": interval.high, "method": interval.method}


def compute(
    modules: Mapping[str, Any], inputs: Mapping[str, list[Any]], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Every module's values; a module that returns several gets them all in."""
    values: dict[str, Any] = {}
    for name, module in modules.items():
        metric = shipped_metrics().get(name)
        wanted = list(metric.inputs) if metric else _features(module, inputs)
        missing = [key for key in wanted if key not in inputs]
        if missing:
            raise DataError(
                f"metric {name} reads {', '.join(missing)}, which this task does not give",
                hint=f"it gives {', '.join(inputs)}",
            )
        if metric and not all(_takes(kind, inputs[key]) for key, kind in metric.inputs.items()):
            raise DataError(f"metric {name} is not for labels of this kind")
        own = {key: options[key] for key in (metric.options if metric else ())}
        values |= module.compute(**{key: inputs[key] for key in wanted}, **own)
    return values


def _features(module: Any, inputs: Mapping[str, list[Any]]) -> list[str]:
    """What a module of the user's or the Hub's reads; some name alternatives."""
    known = module.features if isinstance(module.features, list) else [module.features]
    fitting = (names for names in map(list, known) if all(name in inputs for name in names))
    return next(fitting, list(known[0]))


def _takes(kind: type, values: list[Any]) -> bool:
    """Whether a metric's input is of the kind that the task gives; evaluate would cut numbers."""
    accepted = {int: (int,), float: (int, float), list: (list,), str: (str,)}.get(kind)
    return accepted is None or not values or isinstance(values[0], accepted)
