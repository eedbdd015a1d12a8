"""A value of the wrong type under training.extra is refused before a run begins, not at a step."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

from hfcli.errors import RecipeError
from hfcli.recipe.load import load_recipe
from hfcli.training.arguments import training_arguments

WRONG: dict[Any, tuple[Any, ...]] = {
    int: ("x", 1.5, [1], {}, True),
    float: ("x", [0.5], {}, True),
    bool: ("x", 0.5, [True], {}),
    str: (5, 0.5, ["x"], {}, True),
}


def build(folder: Path, extra: dict[str, Any]) -> TrainingArguments:
    content = {
        "task": {"name": "text-classification"},
        "model": {"name_or_path": "bundled"},
        "data": {"train": "d.csv"},
        "training": {"extra": extra},
        "output_dir": "out",
    }
    (folder / "r.yaml").write_text(json.dumps(content))
    recipe = load_recipe(folder / "r.yaml")
    return training_arguments(recipe=recipe, device=torch.device("cpu"))


def test_every_scalar_of_another_type_is_refused(tmp_path: Path) -> None:
    tried = 0
    for field in dataclasses.fields(TrainingArguments):
        for value in WRONG.get(field.type, ()):
            with pytest.raises(RecipeError, match=field.name):
                build(tmp_path, {field.name: value})
            tried += 1
    assert tried > 100


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("neftune_noise_alpha", 5),
        ("neftune_noise_alpha", None),
        ("dataloader_drop_last", True),
        ("dataloader_num_workers", 0),
        ("adam_epsilon", 1e-8),
        ("logging_first_step", 1),
    ],
)
def test_a_value_that_fits_is_taken(tmp_path: Path, name: str, value: Any) -> None:
    assert getattr(build(tmp_path, {name: value}), name) == value


@pytest.mark.parametrize("value", ["x", [1], {}])
def test_a_number_or_nothing_is_checked(tmp_path: Path, value: Any) -> None:
    with pytest.raises(RecipeError, match="neftune_noise_alpha: expected float or null"):
        build(tmp_path, {"neftune_noise_alpha": value})
