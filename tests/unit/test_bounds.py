"""Every whole number of a recipe has bounds: none becomes a size that nothing can hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from hfcli.errors import RecipeError
from hfcli.recipe.load import Draft, load_recipe, validate_as
from hfcli.recipe.questions import QuestionRecipe
from hfcli.recipe.schema import Recipe
from hfcli.tasks import AnyQuestion, task_classes
from tests.unit.test_recipe import GOOD

BOUND = "(input should be|must be|a) (a whole|whole|less|greater|'auto')"
TOO_MANY = [10**21, 2**63, 2**64, -(10**21), "9" * 5000]


def kinds(annotation: Any) -> Iterator[Any]:
    """The classes that an annotation is made of."""
    inner = get_args(annotation)
    if inner:
        for one in inner:
            yield from kinds(one)
    elif isinstance(annotation, type):
        yield annotation


def whole_numbers(cls: type[BaseModel], before: str = "") -> Iterator[str]:
    """Dotted names of the fields that take whole numbers, sections inside included."""
    for name, info in cls.model_fields.items():
        found = list(kinds(info.annotation))
        if int in found:
            yield before + name
        for section in found:
            if issubclass(section, BaseModel) and section not in QUESTIONS | TASKS:
                yield from whole_numbers(section, f"{before}{name}.")


TASKS = set(task_classes().values())
QUESTIONS = {kind for kind in kinds(get_args(AnyQuestion)[0]) if issubclass(kind, BaseModel)}
OF_RECIPES = list(whole_numbers(Recipe))
OF_TASKS = [(task, key) for task in task_classes().values() for key in whole_numbers(task, "task.")]
OF_QUESTIONS = [
    (kind, key)
    for kind in sorted(QUESTIONS, key=lambda kind: kind.__name__)
    for key in (*whole_numbers(QuestionRecipe), *whole_numbers(kind, "task."))
]


def test_there_are_numbers_to_try() -> None:
    assert len(OF_RECIPES) >= 20
    assert {"model.lora.r", "seed", "data.max_samples", "generation.top_k"} <= set(OF_RECIPES)
    assert {key for _task, key in OF_TASKS} >= {"task.block_size", "task.max_length"}
    assert len(QUESTIONS) == 2
    assert {key for _kind, key in OF_QUESTIONS} >= {"task.num_fewshot", "evaluation.batch_size"}


@pytest.mark.parametrize("value", TOO_MANY, ids=lambda value: str(value)[:8])
@pytest.mark.parametrize("key", OF_RECIPES)
def test_a_recipe_refuses_what_is_too_large(key: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(GOOD)
    with pytest.raises(RecipeError, match=f"(?s){key}.*{BOUND}"):
        load_recipe(path, [f"{key}={value}"])


@pytest.mark.parametrize("value", TOO_MANY, ids=lambda value: str(value)[:8])
@pytest.mark.parametrize(("task", "key"), OF_TASKS)
def test_a_task_refuses_what_is_too_large(
    task: type[BaseModel], key: str, value: object, tmp_path: Path
) -> None:
    path = tmp_path / "r.yaml"
    name = task.model_fields["name"].default
    path.write_text(
        f"task: {{name: {name}}}\nmodel: {{name_or_path: bundled}}\ndata: {{train: d.csv}}\n"
    )
    assert load_recipe(path).task.name == name
    with pytest.raises(RecipeError, match=f"(?s){key}.*{BOUND}"):
        load_recipe(path, [f"{key}={value}"])


@pytest.mark.parametrize("value", TOO_MANY, ids=lambda value: str(value)[:8])
@pytest.mark.parametrize(("kind", "key"), OF_QUESTIONS)
def test_a_file_of_questions_refuses_what_is_too_large(
    kind: type[BaseModel], key: str, value: object
) -> None:
    data: dict[str, Any] = {
        "task": {"name": kind.model_fields["name"].default, "few_shot": "f.csv", "num_fewshot": 1},
        "data": {"test": ["d.csv"]},
    }
    assert validate_as(QuestionRecipe, Draft.from_flags(data, []))
    with pytest.raises(RecipeError, match=f"(?s){key}.*{BOUND}"):
        validate_as(QuestionRecipe, Draft.from_flags(data, [f"{key}={value}"]))
