"""Values that a command line gives for keys of a recipe, each with where it was typed.

`key=value` is YAML, read once; a flag's value is the value itself, whatever it looks like.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hfcli.errors import RecipeError
from hfcli.origins import as_typed
from hfcli.recipe.yaml_file import Path, YamlError, parse_scalar

EXAMPLE = "training.learning_rate=1e-4"


@dataclass(frozen=True)
class Override:
    """One value for a key.

    Attributes:
        path: the key, section by section.
        value: plain data.
        origin: where it was typed: `--output-dir`, `--set training.max_steps`, or a variable.
    """

    path: Path
    value: Any
    origin: str

    @classmethod
    def of_flag(cls, flag: str, key: str, value: Any) -> Override:
        """Return what `flag` with `value` means for the recipe's `key`, a dotted name."""
        return cls(tuple(key.split(".")), value, as_typed(flag))

    @property
    def key(self) -> str:
        """Return the dotted name of the key."""
        return ".".join(map(str, self.path))


def parse_override(text: str, flag: str = "--set") -> Override:
    """Return what `a.b=VALUE` means; VALUE is read as YAML.

    Args:
        flag: what it was typed for, or the variable that gave it.

    Raises:
        RecipeError: it is not key=value, or VALUE is not YAML.
    """
    key, equals, value = text.partition("=")
    path = tuple(key.split("."))
    if not equals or not all(path):
        raise RecipeError(f"{flag} {text}: an override is key=value, such as {EXAMPLE}")
    try:
        return Override(path, parse_scalar(value), f"{flag} {key}")
    except YamlError as e:
        raise RecipeError(f"{flag} {text}: {e}") from e


def as_overrides(given: Sequence[str | Override]) -> list[Override]:
    """Return the overrides, with those that are text parsed.

    Raises:
        RecipeError: as `parse_override`.
    """
    return [parse_override(one) if isinstance(one, str) else one for one in given]


def split_names(text: str, flag: str) -> list[str]:
    """Return the names of `text,label`; double quotes hold a name with a comma in it.

    Raises:
        RecipeError: a name is empty, or a quote is not closed.
    """
    typed = f"{as_typed(flag)} {text}"
    try:
        rows = list(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error as e:
        raise RecipeError(f"{typed}: not names with commas between them ({e})") from e
    names = [name.strip() for name in rows[0]] if rows else []
    if not names or not all(names):
        raise RecipeError(f"{typed}: expected names with commas between them: text,label")
    return names
