"""What metrics read -> their values, by `evaluate` modules. Knows nothing about models or files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hfcli.errors import DataError
from hfcli.metrics import shipped_metrics


def loss(inputs: Mapping[str, list[Any]]) -> dict[str, float]:
    """What training minimizes: nats a token or row, or of numbers the mean squared error."""
    if "nll" in inputs:
        return {
            "loss": sum(inputs["nll"]) / sum(inputs.get("n_tokens") or [1] * len(inputs["nll"]))
        }
    pairs = zip(inputs["predictions"], inputs["references"], strict=True)
    return {"loss": sum((p - r) ** 2 for p, r in pairs) / len(inputs["references"])}


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
