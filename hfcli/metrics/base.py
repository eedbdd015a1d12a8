"""What a metric is: a function of per-example inputs, and the direction in which it is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """One number (or matrix) computed from per-example inputs.

    Args:
        name: what recipes and reports call it.
        compute: takes the `inputs` as keyword arguments, one list each, all of equal length.
        inputs: argument name -> type of one element (`int` or `float`).
        higher_is_better: None for a matrix, which has no direction.
        description: one sentence with the source of the definition.
        options: further keyword arguments that the task supplies, such as `labels`.
    """

    name: str
    compute: Callable[..., Any]
    inputs: dict[str, type]
    higher_is_better: bool | None
    description: str
    options: tuple[str, ...] = ()
