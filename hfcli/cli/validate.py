"""Flags that are not part of a recipe, validated by the same models as recipes. Loads nothing."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import ValidationError

from hfcli.errors import RecipeError
from hfcli.recipe.generation import GenerationSettings
from hfcli.recipe.schema import Dtype


def generation_settings(values: dict[str, Any]) -> GenerationSettings:
    """Flags -> settings; None means not given.

    Raises:
        RecipeError: values that are out of range or contradict each other, all at once.
    """
    try:
        return GenerationSettings.model_validate(values)
    except ValidationError as e:
        lines = []
        for details in e.errors(include_url=False):
            flag = "".join(f"--{part}: ".replace("_", "-") for part in details["loc"])
            lines.append(flag + str(details["msg"]).removeprefix("Value error, "))
        raise RecipeError("\n".join(lines)) from e


def check_dtype(name: str) -> str:
    """`name` when it is a number type hfcli knows.

    Raises:
        RecipeError: it is not.
    """
    if name not in get_args(Dtype):
        raise RecipeError(f"--dtype: unknown type {name!r}, known: {', '.join(get_args(Dtype))}")
    return name
