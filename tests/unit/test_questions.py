"""Rows that are questions: flags, columns, references, labels, examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hfcli.cli.eval_request import EvalRequest
from hfcli.errors import DataError, RecipeError
from hfcli.evaluation.questions import Questions, read_questions
from hfcli.evaluation.target import Target, question_recipe, question_task
from hfcli.recipe.load import dump_recipe, load_recipe
from hfcli.tasks import question_classes, task_names
from hfcli.tasks.generate_until import GenerateUntil
from hfcli.tasks.multiple_choice import MultipleChoice
from tests.asking import ignore, recipe_of, write_jsonl
from tests.helpers import RECIPES

UNTIL, CHOICE = question_classes()
ROW = {"q": "Two and two?", "prompt": "Is it?", "reference": "yes", "answer": ["yes", "aye"]}
PICK = {"prompt": "Is it?", "choices": ["no", "yes"], "label": 1}


def questions(task: str, rows: list[dict[str, Any]], path: Path, *overrides: str) -> Questions:
    data = write_jsonl(path / "data.jsonl", rows)
    recipe = recipe_of(task, data, "model.name_or_path=bundled", *overrides)
    return read_questions(task=recipe.task, data=recipe.data, seed=recipe.seed)


def named(flags: dict[str, Any]) -> str | None:
    """The prompt task that flags name."""
    request = EvalRequest(**flags)
    return question_task(Target(task=request.task, values=tuple(request.values())))


def test_names_are_those_of_the_classes_and_of_no_recipe() -> None:
    assert question_classes() == {UNTIL: GenerateUntil, CHOICE: MultipleChoice}
    assert not {UNTIL, CHOICE} & {*task_names()}


@pytest.mark.parametrize(
    ("given", "task"),
    [
        ({}, None),
        ({"task": UNTIL}, UNTIL),
        ({"task": "text-generation"}, None),
        ({"reference_column": "answer"}, UNTIL),
        ({"stop": ["."], "prompt_column": "q"}, UNTIL),
        ({"choices_column": "options"}, CHOICE),
        ({"label_column": "label"}, None),
    ],
)
def test_a_column_of_one_task_only_names_it(given: dict[str, Any], task: str | None) -> None:
    assert named(given) == task


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": "multiple-choise"}, "did you mean multiple-choice"),
        ({"prompt_column": "q"}, "--prompt-column goes with prompt tasks"),
        ({"seed": 0}, "--seed goes with prompt tasks"),
        ({"task": "text-classification", "stop": ["."]}, "--stop goes with prompt tasks"),
    ],
)
def test_flags_without_their_task_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        named(given)


@pytest.mark.parametrize(
    ("task", "flags", "overrides", "message"),
    [
        (UNTIL, {"context": 4}, [], "task.context: unknown key, it belongs to the task text-gen"),
        (CHOICE, {"max_new_tokens": 4}, [], "multiple-choice writes no text"),
        (CHOICE, {"stop": ["."]}, [], "it belongs to the task generate-until"),
        (UNTIL, {"stop": [""]}, [], "would end every text at once"),
        (UNTIL, {"num_fewshot": 2}, [], "few_shot .* and num_fewshot .* go together"),
        (UNTIL, {"template": "{q}", "prompt_column": "q"}, [], "either template or prompt_column"),
        (UNTIL, {}, ["task.stopp=x"], "did you mean stop"),
        (UNTIL, {}, ["generation.num_beams=2"], "beam search is not for files"),
        (UNTIL, {"metric": ["exact_mach"]}, [], "did you mean exact_match"),
    ],
)
def test_wrong_flags_say_what_is_right(
    task: str, flags: dict[str, Any], overrides: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_of(task, tmp_path / "d.csv", "model.name_or_path=bundled", *overrides, **flags)


def test_texts_are_greedy_unless_sampling_is_asked_for(tmp_path: Path) -> None:
    of = "model.name_or_path=bundled"
    assert recipe_of(UNTIL, tmp_path / "d.csv", of).decoding().do_sample is False
    assert recipe_of(UNTIL, tmp_path / "d.csv", of, temperature=1.0).decoding().do_sample is None


def test_references_are_a_text_or_a_list_and_numbers_are_texts(tmp_path: Path) -> None:
    rows = [{**ROW, "reference": value} for value in ("yes", ["yes", "aye"], 42, [4, "four"])]
    found = questions(UNTIL, rows, tmp_path).items
    assert [item.gold for item in found] == ["yes", ["yes", "aye"], "42", ["4", "four"]]
    assert [item.answer for item in found] == ["yes", "yes", "42", "4"]


@pytest.mark.parametrize("value", [None, [], [None], True, {"text": "yes"}])
def test_other_references_are_an_error_with_their_line(value: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.jsonl:2: column 'reference' must be a text"):
        questions(UNTIL, [ROW, {**ROW, "reference": value}], tmp_path)


@pytest.mark.parametrize(
    ("task", "overrides", "message", "hint"),
    [
        (UNTIL, ["task.reference_column=answr"], "no column 'answr'", "did you mean answer"),
        (UNTIL, ["task.reference_column=answr"], "no column 'answr'", "--reference-column"),
        (UNTIL, ["task.prompt_column=promt"], "no column 'promt'", "did you mean prompt"),
        (UNTIL, ["task.template='{promt}'"], "no column 'promt'", "--template"),
        (CHOICE, [], "no column 'choices'", "--choices-column"),
    ],
)
def test_a_missing_column_names_a_near_one_and_its_key(
    task: str, overrides: list[str], message: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message) as error:
        questions(task, [ROW], tmp_path, *overrides)
    assert hint in str(error.value.hint)


@pytest.mark.parametrize(
    ("choices", "label", "right"),
    [
        (["no", "yes"], 1, 1),
        (["no", "yes"], "1", 1),
        (["no", "yes"], "yes", 1),
        (["no", "yes"], "B", 1),
        (["no", "yes"], "b", 1),
        ('["no", "yes"]', "yes ", 1),
        (["B", "A"], 1, 1),
        (["0", "1"], "1", 1),
        ([3, 4], "4", 1),
    ],
)
def test_a_label_is_a_number_a_letter_or_a_text(
    choices: Any, label: Any, right: int, tmp_path: Path
) -> None:
    (item,) = questions(CHOICE, [{**PICK, "choices": choices, "label": label}], tmp_path).items
    assert item.gold == right
    assert item.answer == item.choices[right]


@pytest.mark.parametrize(
    ("choices", "label", "message"),
    [
        (["no", "yes"], 2, "none of the 2 choices"),
        (["no", "yes"], -1, "none of the 2 choices"),
        (["no", "yes"], True, "none of the 2 choices"),
        (["no", "yes"], "perhaps", "none of the 2 choices"),
        (["no", "yes"], None, "none of the 2 choices"),
        (["B", "A"], "A", "could be choice 0 or 1"),
        (["1", "2"], "1", "could be choice 0 or 1"),
        (["yes", "yes"], "yes", "could be choice 0 or 1"),
        (["yes"], 0, "a list of two texts or more"),
        ("no, yes", 0, "a list of two texts or more"),
        (["", "yes"], 0, "must hold texts"),
    ],
)
def test_a_label_that_is_no_choice_or_two_is_an_error(
    choices: Any, label: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        questions(CHOICE, [{**PICK, "choices": choices, "label": label}], tmp_path)


def shots(path: Path, rows: list[dict[str, Any]], k: int, seed: int = 42) -> Questions:
    examples = write_jsonl(path / "examples.jsonl", rows)
    return questions(
        UNTIL,
        [{"prompt": f"Is {n}?", "reference": "no"} for n in range(5)],
        path,
        f"task.few_shot={examples}",
        f"task.num_fewshot={k}",
        f"seed={seed}",
    )


def test_examples_are_joined_as_lm_eval_joins_them(tmp_path: Path) -> None:
    solved = [{"prompt": "Is it?", "reference": ["yes", "aye"]}]
    assert list(shots(tmp_path, solved, 1).prompts())[1] == "Is it? yes\n\nIs 1?"
    solved = [{"prompt": "Is it?\n", "reference": "yes"}]
    assert list(shots(tmp_path, solved, 1).prompts())[1] == "Is it?\nyes\n\nIs 1?"


def test_no_row_sees_itself_and_the_others_see_the_same(tmp_path: Path) -> None:
    solved = [{"prompt": f"Is {n}?", "reference": f"answer {n}"} for n in range(5)]
    found = shots(tmp_path, solved, 3)
    for item in found.items:
        own = found.examples(item)
        assert len(own) == 3
        assert item.prompt not in {example.prompt for example in own}
    unseen = found.pool[:3]
    others = [item for item in found.items if item.prompt not in {one.prompt for one in unseen}]
    assert len(others) == 2
    assert all(found.examples(item) == unseen for item in others)
    orders = {tuple(item.prompt for item in shots(tmp_path, solved, 3, s).pool) for s in range(9)}
    assert len(orders) > 1, "another seed takes other examples"
    assert found.pool == shots(tmp_path, solved, 3).pool


def test_too_few_examples_are_an_error(tmp_path: Path) -> None:
    solved = [{"prompt": f"Is {n}?", "reference": "no"} for n in range(5)]
    with pytest.raises(DataError, match="4 examples that do not ask the same, 5 are wanted"):
        shots(tmp_path, solved, 5)


def test_the_template_puts_data_and_examples(tmp_path: Path) -> None:
    found = questions(UNTIL, [ROW], tmp_path, r'task.template="Q: {q} {{x}}\nA:"')
    assert list(found.prompts()) == ["Q: Two and two? {x}\nA:"]


def test_the_hash_is_that_of_the_rows_however_they_are_put(tmp_path: Path) -> None:
    plain = questions(UNTIL, [ROW], tmp_path).data_sha256
    assert plain == questions(UNTIL, [ROW], tmp_path, "task.template='{q}'").data_sha256
    assert plain != questions(UNTIL, [{**ROW, "q": "x"}], tmp_path).data_sha256


def test_a_recipe_says_where_questions_are_asked() -> None:
    recipe = RECIPES / "bundled-text-generation.yaml"
    with pytest.raises(
        RecipeError, match=f"a prompt task, not for training: hfcli eval --task {CHOICE}"
    ):
        load_recipe(recipe, [f"task.name={CHOICE}"])


def test_the_model_of_a_run_or_a_recipe_is_asked(tmp_path: Path) -> None:
    recipe = RECIPES / "bundled-text-generation.yaml"
    other = "output_dir=/nowhere"
    (tmp_path / "recipe.yaml").write_text(dump_recipe(load_recipe(recipe, [other])), "utf-8")
    (tmp_path / "result.json").write_text("{}", encoding="utf-8")
    data = tmp_path / "d.csv"
    assert recipe_of(UNTIL, data, target=tmp_path, model=None).model.name_or_path == str(tmp_path)
    assert recipe_of(UNTIL, data, target=tmp_path, model="m").model.name_or_path == "m"
    with pytest.raises(RecipeError, match="needs --data FILE"):
        question_recipe(
            name=UNTIL, target=Target(path=tmp_path), overrides=[], listener=ignore, offline=True,
        )  # fmt: skip
