"""A file of solved examples holds anything: there are examples, or a line says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfcli.errors import DataError
from hfcli.evaluation.questions import Questions, read_questions
from hfcli.recipe.load import Draft, validate_as
from hfcli.recipe.questions import QuestionRecipe
from tests.unit.test_any_bytes import ANY_BYTES, SUFFIXES

OFTEN = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TASKS: dict[str, dict[str, Any]] = {
    "generate-until": {"reference_column": "label"},
    "multiple-choice": {"choices_column": "choices"},
}
DEEP = "[" * 1_200
VALUES = [
    None, "", "x", "no", 1, 10**30, 1.5, True, {}, {"a": 1}, [], ["no"], ["no", "yes"], [1, None],
     ["no", ""], [["no"], "yes"], DEEP, f"{DEEP}{']' * 1_200}", '["no", "yes"]', "9" * 5000,
     "\ud800", "x" * 5000]  # fmt: skip

SOUND = {"text": "Was it?", "choices": ["no", "yes"], "label": "no"}


def read(name: str, few_shot: Path, on_bad_row: str) -> Questions | str:
    """Questions with examples, or the message of the error."""
    asked = few_shot.parent / "asked.jsonl"
    asked.write_text('{"text": "Is it?", "choices": ["no", "yes"], "label": 1}\n')
    task = {"name": name, "template": "{text}", "few_shot": str(few_shot), "num_fewshot": 1}
    data = {"test": [str(asked)], "on_bad_row": on_bad_row}
    draft = Draft.from_flags({"task": task | TASKS[name], "data": data}, [])
    recipe = validate_as(QuestionRecipe, draft)
    try:
        return read_questions(task=recipe.task, data=recipe.data, seed=0)
    except DataError as e:
        told = e.message
    assert few_shot.name in told
    assert "\n" not in told
    return told


@pytest.mark.parametrize("suffix", SUFFIXES)
@OFTEN
@given(content=ANY_BYTES, name=st.sampled_from([*TASKS]), bad=st.sampled_from(["error", "skip"]))
def test_examples_of_any_bytes(
    suffix: str, tmp_path: Path, content: bytes, name: str, bad: str
) -> None:
    path = tmp_path / f"shots.{suffix}"
    path.write_bytes(content)
    found = read(name, path, bad)
    assert isinstance(found, str) or found.pool


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("key", SOUND)
def test_examples_of_any_values(name: str, key: str, tmp_path: Path) -> None:
    path = tmp_path / "shots.jsonl"
    told = 0
    for value in VALUES:
        rows = [SOUND, {**SOUND, key: value}]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        strict, lenient = read(name, path, "error"), read(name, path, "skip")
        assert isinstance(lenient, Questions), "one of the rows is sound"
        if isinstance(strict, Questions):
            assert lenient.pool == strict.pool
        else:
            told += 1
            assert len(strict.replace(str(path), "")) < 400, "values are cut"
    assert told or key not in {"text", *TASKS[name].values()}


@pytest.mark.parametrize("name", TASKS)
def test_sound_examples_are_used(name: str, tmp_path: Path) -> None:
    path = tmp_path / "shots.jsonl"
    path.write_text(json.dumps(SOUND) + "\nno JSON\n")
    found = read(name, path, "skip")
    assert isinstance(found, Questions)
    assert [item.prompt for item in found.pool] == ["Was it?"]
    assert "not JSON" in str(read(name, path, "error"))
