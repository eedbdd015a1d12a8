"""Recipe file + overrides -> one validated, frozen `Recipe`.

The file is read, overrides are merged into it, paths are made absolute, and all of it is
validated once; every error is reported at once with its file and line. Imports nothing heavy.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path as FilePath
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError, create_model

from hfcli.errors import RecipeError, did_you_mean
from hfcli.recipe.explain import explain
from hfcli.recipe.overrides import Override, as_overrides
from hfcli.recipe.renamed import rename_optimizations
from hfcli.recipe.schema import BUNDLED, Recipe
from hfcli.recipe.yaml_file import Path, YamlError, dump_yaml, parse_yaml
from hfcli.tasks import shipped_tasks, task_classes
from hfcli.user_text import read_text

AnyRecipe = TypeVar("AnyRecipe", bound=BaseModel)
DATA_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".txt")  # .json: a record of a run, too
DATA_SPLITS = ("train", "validation", "test")


@dataclass
class Draft:
    """A recipe before validation: plain data, and where each key came from.

    Attributes:
        record: all of the file, where it is the record of a run (run.json).
    """

    data: dict[str, Any]
    file: str
    folder: FilePath
    origins: dict[Path, str] = field(default_factory=dict)
    overridden: set[Path] = field(default_factory=set)
    record: dict[str, Any] | None = None

    @classmethod
    def from_flags(cls, data: dict[str, Any], overrides: Sequence[str | Override]) -> Draft:
        """Make a draft without a file; relative paths are relative to the current folder."""
        return cls(data, "command line", FilePath.cwd()).merged(overrides)

    def merged(self, overrides: Sequence[str | Override]) -> Draft:
        """Return a copy with the overrides in place of the file's values.

        Raises:
            RecipeError: one is not key=value, or leads into a value.
        """
        draft = replace(
            self,
            data=copy.deepcopy(self.data),
            origins=dict(self.origins),
            overridden=set(self.overridden),
        )
        for override in as_overrides(overrides):
            _apply(draft, override)
        return draft


def load_recipe(path: FilePath, overrides: Sequence[str | Override] = ()) -> Recipe:
    """Read, merge, validate.

    Args:
        path: YAML file; relative paths in it are relative to its folder.
        overrides: `a.b=c`, where c is read as YAML, or values with their flag; relative paths
            are relative to the current folder, as everywhere on a command line.

    Raises:
        RecipeError: with every error found, one a line.
    """
    return validate(read_recipe(path).merged(overrides))


def validate(draft: Draft) -> Recipe:
    """Validate a draft; files and flags share this one validation.

    Raises:
        RecipeError: with every error found, one a line.
    """
    return validate_as(Recipe, draft)


def validate_as(schema: type[AnyRecipe], draft: Draft) -> AnyRecipe:
    """Validate a draft by any schema of sections.

    Raises:
        RecipeError: with every error found, one a line.
    """
    # A section with nothing in it, `training:`, is one with its defaults.
    draft.data = {key: value for key, value in draft.data.items() if value is not None}
    _absolute_paths(draft)
    rename_optimizations(draft.data, draft.origins)
    section = draft.data.get("task")
    named = section.get("name") if isinstance(section, dict) else None
    if schema is Recipe and isinstance(named, str) and named not in shipped_tasks():
        schema = cast(type[AnyRecipe], _schema_with(named))
    try:
        return schema.model_validate(draft.data)
    except ValidationError as e:
        lines = explain(e, draft.file, draft.origins, schema)
        raise RecipeError(lines) from e


@cache
def _schema_with(task: str) -> type[Recipe]:
    """The schema whose task is one of another package; the usual one where none has the name."""
    if task not in task_classes():
        return Recipe
    return create_model("Recipe", __base__=Recipe, task=(task_classes()[task], ...))


def dump_recipe(recipe: Recipe) -> str:
    """Return the recipe as YAML with every value; loading it gives an equal recipe."""
    return dump_yaml(_spelled_out(recipe))


def public_recipe(recipe: Recipe) -> str:
    """Return the recipe as YAML without defaults and without folders of this machine."""
    return dump_yaml(without_folders(recipe.model_dump(mode="json", exclude_defaults=True)))


def without_folders(value: Any) -> Any:
    """Return plain data with every absolute path cut to its last part."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return FilePath(value).name if isinstance(value, str) and value.startswith("/") else value


def _spelled_out(section: BaseModel) -> dict[str, Any]:
    """Return every value except those that are None by default."""
    plain = section.model_dump(mode="json")
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            plain[name] = _spelled_out(value)
        elif value is None and info.default is None:
            del plain[name]
    return plain


def read_recipe(path: FilePath) -> Draft:
    """Read a recipe, or the record of a run, once.

    Raises:
        RecipeError: it cannot be read, or is not a mapping.
    """
    if path.suffix.lower() in DATA_SUFFIXES and os.path.isfile(path):
        hint = f"hfcli recipes init --data {path} makes a recipe of it"
        raise RecipeError(f"{path}: not a recipe, but a data file", hint=hint)
    if os.path.isdir(path):
        raise RecipeError(f"{path}: not a recipe, but a folder", hint=_inside(path))
    if not os.path.lexists(path):
        raise RecipeError(f"{path}: no such recipe", hint=nearby(path))
    text = read_text(path, RecipeError)
    try:
        document = parse_yaml(text)
    except YamlError as e:
        raise RecipeError(f"{path}:{e.line or 1}: {e}") from e
    if not isinstance(document.data, dict):
        raise RecipeError(
            f"{path}: a recipe is a mapping with the sections task, model and data",
            hint="see recipes/README.md for examples",
        )
    record = document.data if _is_record(document.data) else None
    under: Path = () if record is None else ("recipe",)
    data = document.data if record is None else record["recipe"]
    n = len(under)
    origins = {
        key[n:]: f"{path}:{line}" for key, line in document.lines.items() if key[:n] == under
    }
    return Draft(data, str(path), path.parent.absolute(), origins, record=record)


def _is_record(data: dict[str, Any]) -> bool:
    return "hfcli" in data and isinstance(data.get("recipe"), dict)


def nearby(path: FilePath) -> str | None:
    """Return a hint with a name similar to one that does not exist."""
    try:
        names = os.listdir(path.parent)
    except (OSError, ValueError):
        return None
    near = did_you_mean(path.name, names)
    return f"did you mean {path.parent / near}?" if near else None


def _inside(path: FilePath) -> str | None:
    recipes = sorted(path.glob("*.yaml"))
    return f"did you mean {recipes[0]}?" if recipes else None


def _apply(draft: Draft, override: Override) -> None:
    path = override.path
    target: Any = draft.data
    for part in path[:-1]:
        if target.get(part) is None:
            target[part] = {}
        target = target[part]
        if not isinstance(target, dict):
            raise RecipeError(f"{override.origin}: {part} is a value, not a section")
    target[path[-1]] = copy.deepcopy(override.value)
    draft.overridden.add(path)
    draft.origins = {k: v for k, v in draft.origins.items() if k[: len(path)] != path}
    draft.origins[path] = override.origin


def _absolute_paths(draft: Draft) -> None:
    data = draft.data
    section = data.get("data")
    if isinstance(section, dict) and section.get("path") is None:
        for name in DATA_SPLITS:
            if name in section:
                section[name] = _absolute(section[name], _base(draft, ("data", name)))
    if isinstance(data.get("output_dir"), str):
        data["output_dir"] = _absolute(data["output_dir"], _base(draft, ("output_dir",)))
    task = data.get("task")
    if isinstance(task, dict) and isinstance(task.get("chat_template"), str):
        path = ("task", "chat_template")
        task["chat_template"] = _absolute(task["chat_template"], _base(draft, path))
    model = data.get("model")
    if isinstance(model, dict):
        for name in ("name_or_path", "tokenizer"):
            value = model.get(name)
            if isinstance(value, str) and value != BUNDLED:
                model[name] = _local(os.path.expanduser(value), _base(draft, ("model", name)))


def _local(name: str, folder: FilePath) -> str:
    # Anything that is not there is a Hub id, or for model.resolve to complain about.
    local = os.path.join(folder, name)
    return os.path.normpath(local) if os.path.exists(local) else name


def _base(draft: Draft, path: Path) -> FilePath:
    typed = any(path[:end] in draft.overridden for end in range(1, len(path) + 1))
    return FilePath.cwd() if typed else draft.folder


def _absolute(value: Any, base: FilePath) -> Any:
    if isinstance(value, list):
        return [_absolute(item, base) for item in value]
    if isinstance(value, str):
        return os.path.normpath(base / os.path.expanduser(value))
    return value
