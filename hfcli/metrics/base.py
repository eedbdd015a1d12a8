"""What a metric is: a function of per-example inputs, and all that is known of it.

Also the two things that all families share: a mean that is undefined without values, and the
error for a library that is not installed.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hfcli.errors import RunError
from hfcli.statistics.form import Form

INSTALL = "pip install 'hfcli[text-metrics]'"


@dataclass(frozen=True)
class Metric:
    """One number (or list of numbers) computed from per-example inputs.

    What is undefined is nan, never an error, a warning or a zero; each function says when. That
    includes no rows at all.

    Args:
        name: what recipes and reports call it.
        compute: takes the `inputs` as keyword arguments, one list each, all of equal length.
        inputs: argument name -> type of one element: `int`, `float`, `str`, `list` (of numbers),
            or `list[str]` (texts, any of which is right, where a text by itself is a list of one;
            or the labels of the units of a row).
        higher_is_better: None for a matrix or list, which has no direction.
        description: one sentence with the source of the definition.
        form: how it depends on the rows, and from it how sure it is; see `hfcli.statistics.form`.
        options: further keyword arguments that the task supplies, such as `labels`.
        package: import name of an optional library that it needs; see `require`.
    """

    name: str
    compute: Callable[..., Any]
    inputs: dict[str, type]
    higher_is_better: bool | None
    description: str
    form: Form = field(default_factory=Form)
    options: tuple[str, ...] = ()
    package: str | None = None


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; nan where there are no values, or one of them is nan."""
    return math.fsum(values) / len(values) if values else math.nan


def require(package: str) -> None:
    """Refuse to go on without an optional library.

    Raises:
        RunError: it is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise RunError(f"this metric needs {package}, which is not installed", hint=INSTALL)
