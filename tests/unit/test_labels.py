"""What a label cell may hold, and which options of text classification go together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from hfcli.data.splits import load_splits
from hfcli.errors import DataError, RecipeError
from hfcli.recipe.load import dump_recipe, load_recipe
from hfcli.recipe.schema import DataSection
from hfcli.tasks.labels import BadLabel, label_indices, look_alikes, several_names
from hfcli.tasks.problems import PROBLEMS
from hfcli.tasks.text_classification import TextClassification

SINGLE = TextClassification()
SEVERAL = TextClassification(problem_type="multi_label_classification")
NUMBER = TextClassification(problem_type="regression")
READ: dict[str, tuple[TextClassification, Any, Any]] = {
    "text": (SINGLE, "spam", ("spam",)),
    "int": (SINGLE, 0, ("0",)),
    "bool": (SINGLE, False, ("False",)),
    "list": (SEVERAL, ["b", "a"], ("b", "a")),
    "list-of-numbers": (SEVERAL, [3, 17], ("3", "17")),
    "empty-list": (SEVERAL, [], ()),
    "separated": (SEVERAL, "b | a", ("b", "a")),
    "one-of-several": (SEVERAL, "a", ("a",)),
    "none-of-several": (SEVERAL, "", ()),
    "json": (SEVERAL, '["a|b", "c"]', ("a|b", "c")),
    "float": (NUMBER, 0.5, 0.5),
    "number": (NUMBER, -3, -3.0),
    "number-as-text": (NUMBER, " 1e3", 1000.0),
}
REFUSED: dict[str, tuple[TextClassification, Any, str]] = {
    "nothing": (SINGLE, None, "column 'label' must be text, int or bool, found nothing"),
    "empty": (SINGLE, "", "found nothing"),
    "float": (SINGLE, 1.5, "found float; task.problem_type: regression takes that"),
    "list": (SINGLE, ["a"], "found list; task.problem_type: multi_label_classification takes"),
    "no-list": (SEVERAL, 3, "must be a list of labels, or a text with '|' between them, found int"),
    "no-labels": (SEVERAL, None, "found nothing"),
    "an-empty-name": (SEVERAL, "a||b", "found nothing"),
    "an-empty-item": (SEVERAL, ["a", None], "found nothing"),
    "one-number-a-label": (SEVERAL, [0, 1, 0], "each once; found '0' twice"),
    "a-number-a-label": (SEVERAL, [0.0, 1.0], "found float"),
    "python": (SEVERAL, "['a', 'b']", "looks like a list and is not JSON"),
    "no-number": (NUMBER, "1,5", "must be a number, found '1,5'"),
    "no-number-at-all": (NUMBER, "", "must be a number, found nothing"),
    "yes": (NUMBER, True, "must be a number, found bool"),
    "nan": (NUMBER, "nan", "must be a finite number, found 'nan'"),
    "infinite": (NUMBER, float("inf"), "must be a finite number"),
    "huge": (NUMBER, 10**400, "must be a number"),
}
RECIPE = """\
task:
  name: text-classification
  TASK
model: {name_or_path: some/model}
data: {train: rows.csv}
"""
WRONG = {
    "text_pair_column: text": "text_pair_column and label_column must be different columns",
    "label_column: text": "must be different columns",
    "problem_type: several": "task.problem_type: input should be 'single_label_classification'",
    "label_separator: ';'": "label_separator goes with problem_type: multi_label_classification",
    "label_separator: ''": "task.label_separator: string should have at least 1 character",
    "class_weights: balance": "must be balanced, or a weight for each label, as {spam: 5}",
    "class_weights: {}": "or a weight for each label",
    "class_weights: {a: 0}": "the weight of a must be above 0 (found 0)",
    "class_weights: {a: x}": "the weight of a must be above 0 (found 'x')",
    "class_weights: {a: .inf}": "the weight of a must be above 0 (found inf)",
    "focal_gamma: -1": "task.focal_gamma: input should be greater than or equal to 0",
    "focal_gama: 1": "task.focal_gama: unknown key, did you mean focal_gamma?",
}
NOT_FOR_NUMBERS = ["class_weights: balanced", "focal_gamma: 2"]


@pytest.mark.parametrize(("task", "cell", "label"), READ.values(), ids=READ.keys())
def test_a_cell_is_read(task: TextClassification, cell: Any, label: Any) -> None:
    assert task.problem().read(cell) == label
    assert task.check_row({"text": "a text", "label": cell}) is None


@pytest.mark.parametrize(("task", "cell", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_cell_without_a_label_is_refused(
    task: TextClassification, cell: Any, message: str
) -> None:
    found = task.check_row({"text": "a text", "label": cell})
    assert found is not None
    assert found.startswith("column 'label' ")
    assert message in found


def test_both_texts_of_a_pair_are_checked() -> None:
    task = TextClassification(text_pair_column="other")
    assert task.columns() == ("text", "other", "label")
    row = {"text": "a", "other": "b", "label": "x"}
    assert task.check_row(row) is None
    assert task.check_row({**row, "other": " "}) == (
        "column 'other' is empty: remove or complete the row"
    )
    assert task.check_row({**row, "other": 3}) == "column 'other' must be text, found int"


@pytest.mark.parametrize(("line", "message"), WRONG.items(), ids=WRONG.keys())
def test_a_wrong_option_is_named(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(_recipe(tmp_path, line))
    assert message in caught.value.message
    assert "recipe.yaml:" in caught.value.message
    assert len(caught.value.message.splitlines()) == 1


@pytest.mark.parametrize("line", NOT_FOR_NUMBERS)
def test_what_is_for_labels_does_not_go_with_numbers(line: str, tmp_path: Path) -> None:
    both = f"{line}\n  problem_type: regression"
    with pytest.raises(RecipeError, match="do not go with problem_type: regression"):
        load_recipe(_recipe(tmp_path, both))


@pytest.mark.parametrize("kind", ["multi_label_classification", "regression"])
def test_label_smoothing_goes_with_one_label(kind: str, tmp_path: Path) -> None:
    path = _recipe(tmp_path, f"problem_type: {kind}")
    with pytest.raises(RecipeError, match="label_smoothing_factor goes with one label a row"):
        load_recipe(path, ["training.label_smoothing_factor=0.1"])


def test_a_dumped_recipe_keeps_weights_of_labels_that_are_numbers(tmp_path: Path) -> None:
    recipe = load_recipe(_recipe(tmp_path, "class_weights: {0: 1, 1: 5.5}"))
    assert isinstance(recipe.task, TextClassification)
    assert recipe.task.class_weights == {"0": 1.0, "1": 5.5}
    again = tmp_path / "again.yaml"
    again.write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(again) == recipe


def test_every_problem_type_of_the_recipe_has_its_class() -> None:
    named = get_args(TextClassification.model_fields["problem_type"].annotation)
    assert list(named) == list(PROBLEMS)
    assert len(named) == 3


def test_only_single_labels_are_stratified_by() -> None:
    assert [t.stratify_by() for t in (SINGLE, SEVERAL, NUMBER)] == ["label", None, None]


def test_a_row_of_a_file_without_a_label_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nx,1.5\ny,\n", encoding="utf-8")
    section = DataSection(test=[str(tmp_path / "a.csv")])
    with pytest.raises(DataError, match=r"a.csv:3: column 'label' must be a number"):
        load_splits(section=section, task=NUMBER, seed=1)


def test_a_row_of_the_hub_without_a_label_is_named() -> None:
    declared = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    rows = Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=declared)
    with pytest.raises(
        DataError, match=r"row 1: column 'label' must be .* found nothing"
    ) as caught:
        SINGLE.config_overrides(rows)
    assert caught.value.hint is not None
    assert "unlabelled" in caught.value.hint


def test_declared_labels_keep_their_order_and_those_without_rows() -> None:
    names = ["zebra", "ape", "never"]
    rows = Dataset.from_dict(
        {"text": ["a", "b"], "label": [[0, 1], []]},
        features=Features({"text": Value("string"), "label": List(ClassLabel(names=names))}),
    )
    config = SEVERAL.config_overrides(rows)
    assert config["id2label"] == dict(enumerate(names))
    assert config["problem_type"] == "multi_label_classification"
    labels = [label for _, label in SEVERAL.problem().labels(rows, "label", names)]
    assert [label.target for label in labels] == [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    assert [label.text for label in labels] == ["zebra, ape", "(no label)"]


def test_numbers_have_one_output_named_after_their_column() -> None:
    rows = Dataset.from_dict({"text": ["a"], "label": ["1.5"]})
    assert NUMBER.config_overrides(rows) == {
        "num_labels": 1, "id2label": {0: "label"}, "label2id": {"label": 0},
        "problem_type": "regression",
    }  # fmt: skip


def test_data_without_labels_to_tell_apart_are_refused() -> None:
    with pytest.raises(DataError, match="one label only"):
        SINGLE.config_overrides(Dataset.from_dict({"text": ["a", "b"], "label": ["x", "x"]}))
    with pytest.raises(DataError, match="no label at all"):
        SEVERAL.config_overrides(Dataset.from_dict({"text": ["a"], "label": [""]}))


def test_unknown_labels_show_their_rows_and_both_sides() -> None:
    rows = [("a.csv:2", ("x",)), ("a.csv:3", ("x", "new")), ("a.csv:4", ()), ("a.csv:5", ("old",))]
    with pytest.raises(
        DataError, match=r"a.csv:3, a.csv:5: label\(s\) \['new', 'old'\] .* \['x', 'y'\]"
    ):
        label_indices(lambda: rows, "label", ["x", "y"])
    assert label_indices(lambda: rows[:1], "label", ["x", "y"]) == {"x": 0, "y": 1}
    assert label_indices(lambda: [("", ("1", "0"))], "label", ["x", "y"]) == {"0": 0, "1": 1}


@given(
    st.lists(st.integers(0, 12).map(str) | st.sampled_from(["x", "LABEL_1", "-1", "01"]),
             min_size=2, max_size=6, unique=True),
    st.lists(st.integers(0, 12).map(str) | st.sampled_from(["x", "y", "01", "1.0"]), min_size=1),
)  # fmt: skip
def test_names_and_indices_are_never_mixed(known: list[str], used: list[str]) -> None:
    rows = [(f"a.csv:{i}", (name,)) for i, name in enumerate(used, 2)]
    unknown = [name for name in used if name not in known]
    a_number = any(name.removeprefix("-").isdecimal() for name in known)
    indices = all(name in map(str, range(len(known))) for name in used)
    if unknown and (a_number or not indices):
        with pytest.raises(DataError) as caught:
            label_indices(lambda: rows, "label", known)
        assert f"a.csv:{used.index(unknown[0]) + 2}" in caught.value.message
        assert str(known) in caught.value.message
        return
    found = label_indices(lambda: rows, "label", known)
    if not unknown:
        assert [known[found[name]] for name in used] == used
    else:
        assert all(found[name] == int(name) for name in used)


def test_one_unknown_number_among_numbers_is_an_error() -> None:
    rows = [*((f"a.csv:{i}", ("1",)) for i in range(2, 21)), ("a.csv:21", ("0",))]
    with pytest.raises(DataError, match=r"a.csv:21: label\(s\) \['0'\] .* \['1', '2', '3'\]"):
        label_indices(lambda: rows, "label", ["1", "2", "3"])


NUMBERS = st.tuples(
    st.sampled_from(["", "-"]), st.sampled_from(["", "0", "00"]), st.integers(0, 3).map(str)
).map("".join)
LABELS = st.lists(NUMBERS | st.text("aA 1", min_size=1, max_size=3), min_size=1, max_size=8)


def test_the_order_of_labels_is_the_same_for_every_hash_seed() -> None:
    cases: list[list[str]] = [["1", "01", "001"], ["0", "-0"], ["9" * 5000, "1"]]

    @settings(max_examples=150, database=None, derandomize=True)
    @given(st.lists(NUMBERS, min_size=2, max_size=8) | LABELS)
    def collect(names: list[str]) -> None:
        cases.append(names)

    collect()
    assert len(cases) > 100
    code = (
        "import json, sys\n"
        "from hfcli.tasks.labels import look_alikes, sorted_names\n"
        "made = [sorted_names(set(names)) for names in json.load(sys.stdin)]\n"
        "print(json.dumps([(names, look_alikes(names)) for names in made]))\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], input=json.dumps(cases), capture_output=True, text=True,
            check=True, env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "12345")
    ]  # fmt: skip
    assert outputs[0] == outputs[1] == outputs[2]
    for names, (ordered, _sentences) in zip(cases, json.loads(outputs[0]), strict=True):
        assert set(names) == set(ordered)
        assert len(ordered) == len(set(names))


@pytest.mark.parametrize(
    ("names", "difference"),
    [
        (["pos", "pos "], "white space"),
        (["a b", "a  b"], "white space"),
        (["Pos", "pos"], "letter case"),
        ([" Pos", "pos"], "white space and letter case"),
        (["01", "1", "1.0"], "how a number is written"),
        (["-0", "0"], "how a number is written"),
    ],
)
def test_labels_that_look_alike_are_named(names: list[str], difference: str) -> None:
    (sentence,) = look_alikes([*names, "other", "2"])
    assert f"differ in {difference} only" in sentence
    assert all(repr(name) in sentence for name in names)
    assert look_alikes(["1", "2", "a", "b c", "bc"]) == []


def _recipe(folder: Path, line: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.replace("TASK", line), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "cell", ["[" * 9_000, f"{'[' * 9_000}{']' * 9_000}", f"[{'9' * 9_000}]", "[1e999, NaN]"]
)
def test_a_list_in_a_cell_that_json_cannot_read_is_a_bad_label(cell: str) -> None:
    with pytest.raises(BadLabel):
        several_names(cell, ",")
