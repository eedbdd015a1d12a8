"""Numbers of a model that are not numbers: no score and no text is made of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from hfcli.errors import RunError


class NanLogitsError(RunError):
    """A model's arithmetic has broken down, in one row at least."""


def nan_logits(where: str = "") -> NanLogitsError:
    """Return the error of a model whose arithmetic has broken down.

    Args:
        where: the row, where it is known.
    """
    return NanLogitsError(
        f"{where}: the model produced NaN logits" if where else "the model produced NaN logits",
        hint="--dtype float32, where a smaller type overflows; else the weights are damaged",
    )


def check_scores(rows: Iterable[tuple[Sequence[float], str]]) -> None:
    """Refuse scores that are NaN.

    Args:
        rows: the numbers of each row, and its place.

    Raises:
        RunError: a number is NaN.
    """
    for numbers, where in rows:
        if any(math.isnan(number) for number in numbers):
            raise nan_logits(where)
