"""What `hfcli eval`'s flags mean for a recipe, and that an error names what was typed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hfcli.errors import DataError, RecipeError
from hfcli.evaluation.target import FLAGS, EvalFlags, resolve_target
from hfcli.recipe.load import load_recipe

RECIPE = """
task: {name: text-generation}
model: {name_or_path: bundled}
data: {train: words.txt}
output_dir: run
"""


def test_every_flag_has_the_name_that_is_typed() -> None:
    flags = EvalFlags(
        model="m", data=("a.csv",), text_column="t", label_column="l", column_names="t,l",
        split="test", metrics=("accuracy",), batch_size=2, device="cpu", context=8, stride=4,
        windows="full", encoding="latin-1", on_bad_row="skip",
    )  # fmt: skip
    without_model = EvalFlags(dtype="float32")
    assert {o.flag for o in (*flags.overrides(), *without_model.overrides())} == set(FLAGS.values())


def test_an_error_names_the_flag_and_one_of_the_recipe_its_key(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    flags = EvalFlags(label_column="label", windows="half").overrides()
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, [*flags, "task.strid=3"])
    told = sorted(caught.value.message.splitlines())
    assert told == [
        "--label-column: task.label_column: unknown key,"
        " it belongs to the task text-classification",
        "--set task.strid: unknown key, did you mean stride?",
        "--windows: task.windows: input should be 'full', 'hf-docs', 'lm-eval' or 'llama.cpp'"
        " (found 'half')",
    ]


@pytest.mark.parametrize(
    ("recipe", "message", "hint"),
    [
        (False, "--stride is 600", "set --stride, --context or --column-names, not my.task.stride"),
        (
            True,
            "--stride is 600",
            "set --stride, task.context (--context) or data.column_names (--column-names),"
            " not my.task.stride",
        ),
    ],
)
def test_an_error_of_the_evaluation_names_flags(recipe: bool, message: str, hint: str) -> None:
    flags = EvalFlags(model="m", data=("a.csv",), stride=600)
    told = "set task.stride, task.context or data.column_names, not my.task.stride"
    with pytest.raises(DataError) as caught, flags.named_as_typed(recipe=recipe):
        raise DataError("task.stride is 600", hint=told)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(("name", "hint"), [("min", "did you mean .*mine"), ("gpt2", "--model .*")])
def test_what_is_not_there_is_no_run_and_no_recipe(name: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(RecipeError, match="no such run or recipe") as caught:
        resolve_target(
            target=tmp_path / name, flags=EvalFlags(), overrides=[], listener=print, offline=True
        )
    assert re.search(hint, str(caught.value.hint))
