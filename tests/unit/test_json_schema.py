"""The JSON Schema and the loader agree: what an editor marks is an error, and little else is."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hfcli.errors import RecipeError
from hfcli.recipe.json_schema import recipe_schema
from hfcli.recipe.load import dump_recipe, load_recipe
from hfcli.recipe.schema import Recipe
from hfcli.recipe.yaml_file import parse_yaml
from hfcli.tasks import task_classes
from tests.helpers import RECIPES, hfcli
from tests.unit.test_recipe import BAD, GOOD, write

SHIPPED = sorted(RECIPES.glob("*.yaml"))
# What no schema of single keys can know, the loader says.
SEEN = (
    "unknown-section", "unknown-training-key", "unknown-task-key", "unknown-data-key",
    "unknown-model-key", "unknown-task", "no-task-name", "not-a-number", "out-of-range",
    "wrong-choice", "old-name", "upstream-name", "other-section", "extra-typo", "extra-typed",
    "extra-gone", "extra-owned", "other-task", "owned", "bf16", "unknown-metric",
)  # fmt: skip
ACCEPTED = {
    "one-file": ("train: [rows.csv]", "train: rows.csv"),
    "no-is-a-word": ("eval_strategy: no", "eval_strategy: no"),
    "no-by-an-older-reader": ("eval_strategy: no", "eval_strategy: false"),
    "empty-section": ("output_dir: out", "evaluation:"),
    "empty-key": ("output_dir: out", "seed:"),
    "bf16-word": ("eval_strategy: no", "bf16: auto"),
    "bf16-bool": ("eval_strategy: no", "bf16: false"),
    "whole-number": ("5e-5", "1"),
    "extra": ("eval_strategy: no", "extra: {neftune_noise_alpha: 5}"),
    "hub-metric": ("output_dir: out", "evaluation: {metrics: [accuracy, owner/name]}"),
    "no-limit": ("eval_strategy: no", "save_total_limit: null"),
}


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_there_are_recipes_and_rules_to_look_at() -> None:
    assert len(SHIPPED) >= 5
    assert set(SEEN) <= set(BAD)


def test_the_command_prints_the_schema() -> None:
    done = hfcli("recipes", "schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == recipe_schema()
    assert recipe_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_valid_as_it_is_and_spelled_out(path: Path, validator: Any) -> None:
    validator.validate(parse_yaml(path.read_text(encoding="utf-8")).data)
    validator.validate(parse_yaml(dump_recipe(load_recipe(path))).data)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_wrong_key_anywhere_in_a_shipped_recipe_is_not(path: Path, validator: Any) -> None:
    recipe = parse_yaml(path.read_text(encoding="utf-8")).data
    wrong = list(with_a_wrong_key(recipe))
    assert len(wrong) >= 5
    for section, changed in wrong:
        assert not validator.is_valid(changed), section


def with_a_wrong_key(recipe: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "top", {**recipe, "lerning_rte": 1}
    for section, value in recipe.items():
        if isinstance(value, dict):
            changed = copy.deepcopy(recipe)
            changed[section]["lerning_rte"] = 1
            yield section, changed


@pytest.mark.parametrize("name", SEEN)
def test_what_is_wrong_for_the_loader_is_wrong_for_an_editor(
    name: str, validator: Any, tmp_path: Path
) -> None:
    text = GOOD.replace(*BAD[name][0], 1)
    assert not validator.is_valid(parse_yaml(text).data)
    with pytest.raises(RecipeError):
        load_recipe(write(tmp_path, text))


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_the_loader_accepts_is_right_for_an_editor(
    change: tuple[str, str], validator: Any, tmp_path: Path
) -> None:
    assert change[0] in GOOD
    text = GOOD.replace(*change, 1)
    validator.validate(parse_yaml(text).data)
    load_recipe(write(tmp_path, text))


@pytest.mark.parametrize("section", ["task", "model", "data"])
def test_an_empty_section_that_is_needed_is_wrong_for_both(
    section: str, validator: Any, tmp_path: Path
) -> None:
    text = dump_recipe(load_recipe(SHIPPED[1]))
    data = {**parse_yaml(text).data, section: None}
    assert not validator.is_valid(data)
    with pytest.raises(RecipeError, match="is required"):
        load_recipe(write(tmp_path, json.dumps(data)))


def test_every_key_of_the_models_is_in_the_schema() -> None:
    schema = recipe_schema()
    assert list(schema["properties"]) == list(Recipe.model_fields)
    assert schema["required"] == [n for n, f in Recipe.model_fields.items() if f.is_required()]
    for cls in task_classes().values():
        shown = schema["$defs"][cls.__name__]
        assert list(shown["properties"]) == list(cls.model_fields)
        assert shown["required"] == ["name"]


def test_keys_are_described_by_hfcli_or_by_upstream() -> None:
    training = recipe_schema()["$defs"]["TrainingSection"]["properties"]
    assert training["learning_rate"]["description"] == "learning_rate of TrainingArguments."
    assert "share of the run" in training["warmup_steps"]["description"]
    assert "neftune_noise_alpha" in training["extra"]["properties"]
