"""Metrics of multiple choice by log-likelihood: the model's choice is the likeliest text.

Each is nan without rows, and where a negative log-likelihood is nan. Ties go to the first choice.
Knows nothing about prompts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hfcli.metrics.base import Metric, mean
from hfcli.statistics.form import one_by_one, proportion

INPUTS: dict[str, type] = {"nll": list, "references": int}
BYTE_INPUTS: dict[str, type] = {"nll": list, "n_bytes": list, "references": int}
Rows = Sequence[Sequence[float]]


def acc(nll: Rows, references: Sequence[int]) -> float:
    """Share of rows whose right choice has the least negative log-likelihood, in [0, 1]."""
    return mean([_hit(costs, right) for costs, right in zip(nll, references, strict=True)])


def acc_norm(nll: Rows, n_bytes: Rows, references: Sequence[int]) -> float:
    """Share of rows whose right choice has the least negative log-likelihood per UTF-8 byte.

    nan where a choice has no bytes.
    """
    rows = zip(nll, n_bytes, references, strict=True)
    return mean([_hit(_per_byte(costs, sizes), right) for costs, sizes, right in rows])


def _hit(costs: Sequence[float], right: int) -> float:
    if any(math.isnan(cost) for cost in costs):
        return math.nan
    return float(min(range(len(costs)), key=costs.__getitem__) == right)


def _per_byte(costs: Sequence[float], sizes: Sequence[float]) -> list[float]:
    pairs = zip(costs, sizes, strict=True)
    return [cost / size if size else math.nan for cost, size in pairs]


METRICS = (
    Metric(
        "acc",
        acc,
        INPUTS,
        True,
        "Share of rows whose right choice is the likeliest.",
        proportion(one_by_one(acc, INPUTS)),
    ),
    Metric(
        "acc_norm",
        acc_norm,
        BYTE_INPUTS,
        True,
        "The same by log-likelihood per UTF-8 byte of the choice, so that long choices are not"
        " at a disadvantage.",
        proportion(one_by_one(acc_norm, BYTE_INPUTS)),
    ),
)
