"""What every reader takes and gives: options in; rows, and complaints in the place of rows, out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, NamedTuple

Row = dict[str, Any]
SampleBy = Literal["document", "paragraph", "line"]
Quoting = Literal["auto", "always", "never"]

LARGEST_ROW = 1 << 26  # characters; a quote or bracket that is never closed must not fill memory
LARGEST_TEXT = 1 << 28  # characters of a file that is read whole: one text, or a JSON object
DEEPEST = 100  # lists in lists; Python's own limit is not much further away


@dataclass(frozen=True)
class FileOptions:
    """How to read files.

    Args:
        column_names: columns of csv and tsv files without a header line.
        sample_by: what is one row of a txt file.
        encoding: of the text, as Python names it.
        quoting: whether cells of a tsv file may stand in quotes; `auto`: as the file does.
        prompts: a text by itself is a prompt, and a blank line a row: for files of prompts.
        tell: takes a sentence about how a file is read.
    """

    column_names: tuple[str, ...] | None = None
    sample_by: SampleBy = "document"
    encoding: str = "utf-8"
    quoting: Quoting = "auto"
    prompts: bool = False
    tell: Callable[[str], None] = field(default=lambda told: None, compare=False, repr=False)


class Parsed(NamedTuple):
    """One row, or why it cannot be read.

    Args:
        line: where it begins, from 1; the number of the row where a format has no lines.
        values: its columns, or None.
        error: why it cannot be read, or None.
        hint: what to do about that.
    """

    line: int
    values: Row | None
    error: str | None = None
    hint: str | None = None


class Unreadable(Exception):  # noqa: N818 - a sentence on its way to the error that names the file
    """Nothing more can be read of a file.

    Args:
        message: why.
        line: where, from 1; None where it concerns the whole file.
        hint: what to do.
    """

    def __init__(self, message: str, line: int | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.line, self.hint = message, line, hint


Reader = Callable[[BinaryIO, FileOptions], Iterator[Parsed]]


def too_deep(values: Row) -> str | None:
    """Why a row's values are nested too deep for those who read them after us, or None."""
    level: list[Any] = [value for value in values.values() if isinstance(value, dict | list)]
    for _ in range(DEEPEST):
        if not level:
            return None
        inner = (x for item in level for x in (item.values() if isinstance(item, dict) else item))
        level = [x for x in inner if isinstance(x, dict | list)]
    return f"its values are nested more than {DEEPEST} deep"


def is_nothing(value: Any) -> bool:
    """Whether a cell holds no value: null, NaN, white space, or an empty list."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value == [] or (isinstance(value, float) and math.isnan(value))
