"""A text with `{column}` in it and a row -> the text with the row's values. Knows no files."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from hfcli.errors import DataError, RecipeError, did_you_mean

Part = tuple[str, str | None]  # text, and the column that stands after it


class MissingColumnError(DataError):
    """The data lacks the column that the prompt is made from."""


def fill_template(template: str, columns: Mapping[str, Any]) -> str:
    """`{column}` -> its value; `{{` and `}}` are braces.

    Raises:
        RecipeError: the template's braces do not match.
        MissingColumnError: there is no such column.
    """
    parts: list[str] = []
    for literal, name in _parts(template):
        parts.append(literal)
        if name is None:
            continue
        if name not in columns:
            near = did_you_mean(name, columns)
            raise MissingColumnError(
                f"the template names the column {name!r}, the data has {', '.join(columns)}",
                hint=f"did you mean {near}?" if near else "write {{ and }} for braces that stay",
            )
        value = columns[name]
        parts.append("" if value is None else str(value))
    return "".join(parts)


def columns_of(template: str) -> list[str]:
    """The columns that a template names, each once, in order.

    Raises:
        RecipeError: its braces do not match.
    """
    return list(dict.fromkeys(name for _, name in _parts(template) if name is not None))


def _parts(template: str) -> list[Part]:
    try:
        return [(literal, name) for literal, name, _, _ in string.Formatter().parse(template)]
    except ValueError as e:
        raise RecipeError(
            f"the template is broken: {e}", hint="write {{ and }} for braces that stay"
        ) from e
