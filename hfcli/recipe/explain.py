"""Validation errors -> sentences with file, line and a way out. Validates nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hfcli.errors import did_you_mean
from hfcli.recipe.schema import Recipe
from hfcli.recipe.training import OWNED_BY_HFCLI, RENAMED, training_argument_names
from hfcli.recipe.yaml_file import Path
from hfcli.shown import shown
from hfcli.tasks import question_classes, task_classes, task_names

MOST_ERRORS = 20  # of one recipe


def explain(
    error: ValidationError,
    file: str,
    origins: Mapping[Path, str],
    schema: type[BaseModel] = Recipe,
) -> list[str]:
    """Return one line an error: `recipes/x.yaml:12: training.learning_rte: unknown key, ...`."""
    lines = []
    found = error.errors(include_url=False)
    for details in found[:MOST_ERRORS]:
        path = _without_task_tag(details["loc"])
        dotted = ".".join(str(part) for part in path)
        where = _origin(path, file, origins)
        task = str(details["loc"][1]) if path != details["loc"] else None
        name = "" if where.endswith(dotted) else f"{dotted}: "  # `--set KEY` has it already
        lines.append(f"{where}: {name}{_sentence(dict(details), path, task, schema)}")
    if len(found) > MOST_ERRORS:
        lines.append(f"{file}: {len(found):,} errors in all, the first {MOST_ERRORS} are shown")
    return lines


def _without_task_tag(loc: tuple[int | str, ...]) -> Path:
    # pydantic puts the discriminator's value into the location of a tagged union.
    if len(loc) > 1 and loc[0] == "task" and loc[1] in _every_task():
        return ("task", *loc[2:])
    return loc


def _origin(path: Path, file: str, origins: Mapping[Path, str]) -> str:
    for end in range(len(path), 0, -1):
        if path[:end] in origins:
            return origins[path[:end]]
    # An override of something inside names the inside only.
    inside = (where for key, where in origins.items() if key[: len(path)] == path)
    return next(inside, file)


def _sentence(
    details: dict[str, Any], path: Path, task: str | None, schema: type[BaseModel]
) -> str:
    kind = details["type"]
    if kind == "extra_forbidden":
        return _unknown_key(path, task, schema)
    if kind == "missing":
        return "is required"
    if kind == "union_tag_not_found":
        return f"needs a name, one of {', '.join(task_names())}"
    if kind == "union_tag_invalid":
        given = details["input"]
        name = given.get("name") if isinstance(given, dict) else details["ctx"]["tag"]
        if isinstance(name, str) and name in question_classes():
            return (
                f"{name} is a prompt task, not for training: hfcli eval --task {name} --data FILE"
            )
        near = did_you_mean(str(name), task_names())
        known = f"did you mean {near}?" if near else f"known: {', '.join(task_names())}"
        return f"unknown task {shown(name)}, {known}"
    message = str(details["msg"]).removeprefix("Value error, ")
    if kind == "value_error" or isinstance(details["input"], dict):
        return message
    return f"{message[0].lower()}{message[1:]} (found {shown(details['input'])})"


def _every_task() -> dict[str, type[BaseModel]]:
    return {**task_classes(), **question_classes()}


def _unknown_key(path: Path, task: str | None, schema: type[BaseModel]) -> str:
    key = str(path[-1])
    siblings = list(_every_task()[task].model_fields) if task else _keys_beside(path, schema)
    other = [name for name, cls in _every_task().items() if key in cls.model_fields]
    if task and other:
        return f"unknown key, it belongs to the task {other[0]}"
    if path[0] == "training":
        if key in OWNED_BY_HFCLI:
            return f"unknown key here: {OWNED_BY_HFCLI[key]}"
        if key in RENAMED:
            return f"unknown key, use {RENAMED[key]}"
        near = did_you_mean(key, siblings)
        if near is None and key in training_argument_names():
            return "unknown key here; it is a TrainingArguments name: put it under training.extra"
    near = did_you_mean(key, siblings)
    if near:
        return f"unknown key, did you mean {near}?"
    elsewhere = [name for name, keys in _all_keys(schema).items() if key in keys]
    if elsewhere:
        return f"unknown key here, it belongs under {elsewhere[0]}"
    return f"unknown key; known: {', '.join(siblings)}"


def _keys_beside(path: Path, schema: type[BaseModel]) -> list[str]:
    if len(path) == 1:
        return list(schema.model_fields)
    keys = _all_keys(schema)
    inside = (".".join(map(str, path[:end])) for end in range(len(path) - 1, 0, -1))
    return next((list(keys[name]) for name in inside if name in keys), [])


def _all_keys(schema: type[BaseModel]) -> dict[str, list[str]]:
    """Return the keys of every section, by its dotted name."""
    sections = _sections(schema, "")
    for cls in (task_classes() if issubclass(schema, Recipe) else question_classes()).values():
        sections["task"] = sections.get("task", []) + list(cls.model_fields)
    return sections


def _sections(model: type[BaseModel], prefix: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, info in model.model_fields.items():
        section = section_of(info.annotation)
        if section is not None:
            found[f"{prefix}{name}"] = list(section.model_fields)
            found |= _sections(section, f"{prefix}{name}.")
    return found


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds (`Section` or `Section | None`), or None."""
    options = [annotation, *(o for o in get_args(annotation) if o is not type(None))]
    if len(options) > 2:
        return None  # a union of several, such as the tasks
    for option in options:
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None
