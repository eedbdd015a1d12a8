"""What `hfcli eval`'s flags mean for a recipe, and that an error names what was typed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hfcli.cli import variables
from hfcli.cli.eval_request import EvalRequest
from hfcli.errors import RecipeError
from hfcli.evaluation.target import Target, resolve_target
from hfcli.origins import as_typed, typed_at
from hfcli.recipe.load import load_recipe
from hfcli.tasks.text_generation import TextGeneration
from tests.unit.test_typed import COMMANDS

RECIPE = """
task: {name: text-generation}
model: {name_or_path: bundled}
data: {train: words.txt}
output_dir: run
"""


def test_every_value_has_the_flag_that_was_typed() -> None:
    typed: dict[str, Any] = {
        "text_column": "t", "label_column": "l", "column_names": "t,l", "split": "test",
        "metric": ["accuracy"], "batch_size": 2, "device": "cpu", "context": 8, "stride": 4,
        "windows": "full", "encoding": "latin-1", "on_bad_row": "skip", "prompt_column": "p",
        "reference_column": "r", "choices_column": "c", "few_shot": "f", "num_fewshot": 1,
        "max_new_tokens": 3, "temperature": 0.5, "stop": ["."], "system": "s",
        "chat_template": False, "seed": 1, "dtype": "float32",
    }  # fmt: skip
    given = EvalRequest(**typed).values()
    assert {one.origin for one in given} == {f"--{name.replace('_', '-')}" for name in typed}
    names = {one.name for one in COMMANDS["eval"].params}
    assert names >= typed.keys()


def test_an_error_names_the_flag_and_one_of_the_recipe_its_key(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    flags = EvalRequest(label_column="label", windows="half").values()
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
    request = EvalRequest(target=Path("r.yaml") if recipe else None, stride=600)
    with typed_at(request.places()):
        told = f"{as_typed('task.stride')} is 600"
        way = (
            f"set {as_typed('task.stride')}, {as_typed('task.context')} or"
            f" {as_typed('data.column_names')}, not {as_typed('my.task.stride')}"
        )
    assert (told, way) == (message, hint)
    assert as_typed("task.stride") == "task.stride"


def test_windows_that_skip_tokens_name_the_flag() -> None:
    task = TextGeneration(stride=600)
    with (
        typed_at(EvalRequest(stride=600).places()),
        pytest.raises(
            RecipeError, match=r"^--stride is 600, but a window holds 8 tokens"
        ) as caught,
    ):
        task.check_stride(8)
    assert caught.value.hint == "set --stride to 8 or less"


def test_a_flag_from_a_variable_is_called_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFCLI_EVAL_STRIDE", "600")
    given = [variables.Variable("HFCLI_EVAL_STRIDE", "600", "stride", ("--stride",), ())]
    with variables.in_force(given):
        request = EvalRequest(stride=600)
        assert [one.origin for one in request.values()] == ["HFCLI_EVAL_STRIDE"]
        assert request.places()["task.stride"] == "HFCLI_EVAL_STRIDE"


@pytest.mark.parametrize(("name", "hint"), [("min", "did you mean .*mine"), ("gpt2", "--model .*")])
def test_what_is_not_there_is_no_run_and_no_recipe(name: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(RecipeError, match="no such run or recipe") as caught:
        resolve_target(
            target=Target(path=tmp_path / name), overrides=[], listener=print, offline=True
        )
    assert re.search(hint, str(caught.value.hint))
