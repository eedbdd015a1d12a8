"""A task: the four contracts in one frozen section of a recipe. It knows nothing about files,
trainers or terminals.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from hfcli.tasks.contract import Columns, Encode, Head, LossFunction, Reduced, Score, Scores
from hfcli.tasks.prepared import (
    IGNORE,
    ORIGIN,
    Feature,
    Features,
    Overflow,
    Prepared,
    RowCounts,
    Tools,
    context_length,
    pad_right,
)

__all__ = [
    "IGNORE", "ORIGIN", "Feature", "Features", "LossFunction", "Overflow", "Prepared", "Reduced",
    "RowCounts", "Scores", "Task", "Tools", "context_length", "origin_of", "pad_right",
]  # fmt: skip


class Task(Columns, Encode, Head, Score, BaseModel):
    """What a recipe's `task` section is made into; one file a task.

    Shipped tasks stand in the union in `hfcli.tasks`; other packages add theirs by entry points.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: str
    try_next: ClassVar[tuple[str, ...]] = ("hfcli eval {folder}",)


def origin_of(batch: dict[str, list[Any]], i: int, number: int) -> str:
    """Where row `i` of a batch stands: file and line, or its number in the split."""
    return str(batch[ORIGIN][i]) if ORIGIN in batch else f"row {number}"
