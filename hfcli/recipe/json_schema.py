"""The JSON Schema of a recipe (draft 2020-12), for editors: made from the pydantic models.

It knows keys, types, ranges and words. What keys say together (load_best_model_at_end needs an
evaluation) only the models' own validators know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from hfcli.metrics import own_metrics
from hfcli.recipe.schema import EvaluationSection, Recipe
from hfcli.recipe.sections import GenerationSettings
from hfcli.recipe.training import TrainingSection, check_extra, training_argument_names
from hfcli.tasks import shipped_tasks

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def recipe_schema() -> Json:
    """Return the JSON Schema as plain data, the same at every call."""
    body = Recipe.model_json_schema(schema_generator=_EditorSchema)
    return {"$schema": DIALECT, "$comment": "Made by `hfcli recipes schema`.", **body}


class _EditorSchema(GenerateJsonSchema):
    """Pydantic's schema, with what the validators accept beyond the annotations."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # "Learning Rate" says no more than learning_rate

    def model_schema(self, schema: core_schema.ModelSchema) -> Json:
        made = super().model_schema(schema)
        cls = schema["cls"]
        for name, shown in made.get("properties", {}).items():
            also = _accepted_too(cls, name, shown)
            if (cls, name) in REFINEMENTS:
                REFINEMENTS[cls, name](shown)
            about = shown.pop("description", None) or _upstream(cls, name)
            made["properties"][name] = _about(_either(shown, also), about)
        if cls in shipped_tasks().values():
            made["required"] = ["name", *made.get("required", [])]
        return made


def _accepted_too(cls: type[BaseModel], name: str, shown: Json) -> list[Json]:
    """What a key takes though its annotation does not say so, found by asking the model."""
    kinds = [shown, *shown.get("anyOf", [])]
    also: list[Json] = []
    if any(kind.get("type") == "array" for kind in kinds) and _takes(cls, name, "a word"):
        also.append({"type": "string"})
    if any("enum" in kind for kind in kinds) and _takes(cls, name, False):
        also.append({"const": False})  # `no`, where a YAML 1.1 reader has made it false
    if cls is Recipe and not cls.model_fields[name].is_required():
        also.append({"type": "null"})  # `training:` with nothing under it
    return [kind for kind in also if kind not in kinds]


def _takes(cls: type[BaseModel], name: str, value: Any) -> bool:
    try:
        cls.model_validate({name: value})
    except ValidationError as e:
        return all(details["loc"][:1] != (name,) for details in e.errors(include_url=False))
    return True


def _either(shown: Json, also: list[Json]) -> Json:
    if not also:
        return shown
    if "anyOf" in shown:
        return shown | {"anyOf": [*shown["anyOf"], *also]}
    outside = {key: shown[key] for key in ("default",) if key in shown}
    inside = {key: value for key, value in shown.items() if key not in outside}
    return {"anyOf": [inside, *also], **outside}


def _about(shown: Json, about: str | None) -> Json:
    return {"description": about, **shown} if about else shown


def _upstream(cls: type[BaseModel], name: str) -> str | None:
    """Whose key it is, where the model leaves the meaning to upstream."""
    if cls is TrainingSection and name in training_argument_names():
        return f"{name} of TrainingArguments."
    return f"{name} of GenerationConfig." if cls is GenerationSettings else None


def _extra(shown: Json) -> None:
    typed = set(TrainingSection.model_fields)
    names = sorted(n for n in training_argument_names() if check_extra(n, typed) is None)
    shown |= {"properties": {name: {} for name in names}, "additionalProperties": False}


def _metrics(shown: Json) -> None:
    shipped_or_hub = {"anyOf": [{"enum": list(own_metrics())}, {"type": "string", "pattern": "/"}]}
    for kind in (shown, *shown.get("anyOf", [])):
        if kind.get("type") == "array":
            kind["items"] = shipped_or_hub


# Keys whose values a validator knows by name.
REFINEMENTS: dict[tuple[type[BaseModel], str], Callable[[Json], None]] = {
    (TrainingSection, "extra"): _extra,
    (EvaluationSection, "metrics"): _metrics,
}
