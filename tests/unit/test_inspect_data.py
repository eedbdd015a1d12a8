"""Data is read for what it could teach; where two readings are possible, a flag is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hfcli.data import profile as survey_module
from hfcli.data.files import FileOptions
from hfcli.data.inspect_data import inspect_data
from hfcli.data.profile import profile
from hfcli.errors import DataError, HfcliError, RecipeError
from hfcli.recipe.starting_points import DataFacts
from hfcli.tasks.text_classification import TextClassification
from hfcli.tasks.text_generation import TextGeneration

LONG = "the boats lay still in the quiet harbour of the town"
CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
Rows = list[dict[str, Any]]


def rows(count: int = 12, **columns: Any) -> Rows:
    """`count` rows; a callable is asked for each, a list is repeated."""
    return [
        {name: v(i) if callable(v) else v[i % len(v)] for name, v in columns.items()}
        for i in range(count)
    ]


def text(i: int) -> str:
    return f"{LONG} {i}"


# name -> rows, task, keys of the task (where the task has these keys, see `known`).
READ: dict[str, tuple[Rows, type, dict[str, str]]] = {
    "words": (
        rows(text=text, label=["calm", "storm"]),
        TextClassification,
        {"text_column": "text", "label_column": "label"},
    ),
    "numbers": (
        rows(id=lambda i: i, review=text, stars=[1, 2, 3]),
        TextClassification,
        {"text_column": "review", "label_column": "stars"},
    ),
    "bools": (
        rows(remark=text, spam=[True, False]),
        TextClassification,
        {"text_column": "remark", "label_column": "spam"},
    ),
    "label-by-name": (
        rows(text=text, year=[1911, 1912], Label=["a", "b", "c"]),
        TextClassification,
        {"text_column": "text", "label_column": "Label"},
    ),
    "longest-text": (
        rows(title=lambda i: f"No. {i}", article=text, kind=["a", "b"]),
        TextClassification,
        {"text_column": "article", "label_column": "kind"},
    ),
    "text-by-name": (
        rows(url=lambda i: "http://" + "x" * 90 + str(i), text=text, kind=["a", "b"]),
        TextClassification,
        {"text_column": "text", "label_column": "kind"},
    ),
    "plain": (rows(story=text), TextGeneration, {"text_column": "story"}),
    "plain-and-ids": (
        rows(id=lambda i: str(i), story=text),
        TextGeneration,
        {"text_column": "story"},
    ),
    "pairs": (
        rows(premise=text, hypothesis=text, label=["yes", "no"]),
        TextClassification,
        {"text_column": "premise", "text_pair_column": "hypothesis", "label_column": "label"},
    ),
    "no-pair-with-the-label": (
        rows(question=text, sentence=["yes", "no"]),
        TextClassification,
        {"text_column": "question", "label_column": "sentence"},
    ),
    "prompts": (
        rows(prompt=text, completion=text),
        TextGeneration,
        {"prompt_column": "prompt", "completion_column": "completion"},
    ),
    "instructions": (
        rows(instruction=text, output=["yes", "no"]),
        TextGeneration,
        {"prompt_column": "instruction", "completion_column": "output"},
    ),
    "chat": (rows(messages=[CHAT]), TextGeneration, {"messages_column": "messages"}),
}
# name -> rows, flags, what the message or the hint says.
UNCLEAR: dict[str, tuple[Rows, dict[str, str], str]] = {
    "two-labels": (rows(text=text, a=["x", "y"], b=["x", "y"]), {}, "--label-column names it"),
    "two-named-labels": (
        rows(text=text, label=["x", "y"], intent=["x", "y"]),
        {},
        "label, intent could all be the label",
    ),
    "two-texts": (
        rows(a=text, b=text, label=["x", "y"]),
        {},
        "--text-column names the one to learn from",
    ),
    "no-label": (
        rows(text=text),
        {"task": "text-classification"},
        "--label-column names it",
    ),
    "no-text": (rows(n=lambda i: i), {}, "no column holds texts; there are n (int; 12"),
    "a-label-that-is-none": (
        rows(text=text, label=lambda i: i / 7),
        {},
        "has the name of a label, and not the values",
    ),
    "lists": (
        rows(text=text, labels=[["a"], ["a", "b"]]),
        {},
        "task.problem_type: multi_label_classification",
    ),
    "fractions-by-name": (
        rows(text=text, label=[0.5, 1.5]),
        {"label_column": "label"},
        "task.problem_type: regression",
    ),
    "fractions": (rows(text=text, x=[0.5, 1.5]), {"label_column": "x"}, "holds no labels: float"),
    "one-label": (rows(text=text, x=["a"]), {"label_column": "x"}, "one label only"),
    "empty-label": (
        [*rows(text=text, label=["a", "b"]), {"text": LONG, "label": ""}],
        {},
        "rows.jsonl:13: column 'label' is empty",
    ),
    "missing-text": (
        [*rows(text=text, label=["a", "b"]), {"label": "a"}],
        {},
        "rows.jsonl:13: column 'text' is empty",
    ),
    "late-column": (
        [{"text": LONG}, *rows(text=text, label=["a", "b"])],
        {},
        "rows.jsonl:1: column 'label' is empty",
    ),
    "wrong-column": (rows(text=text), {"text_column": "txt"}, "did you mean text?"),
    "wrong-label": (rows(text=text), {"label_column": "x"}, "no column 'x'; there are text (str"),
    "number-for-text": (rows(n=[1], label=["a", "b"]), {"text_column": "n"}, "holds no texts: int"),
    "wrong-task": (rows(text=text), {"task": "text-genration"}, "did you mean text-generation?"),
    "no-such-task": (rows(text=text), {"task": "x"}, "known: text-generation, text-class"),
    "label-of-texts": (
        rows(text=text, label=["a", "b"]),
        {"task": "text-generation", "label_column": "label"},
        "--label-column does not go with --task text-generation",
    ),
    "one-column-twice": (
        rows(text=text),
        {"text_column": "text", "label_column": "text"},
        "must be two columns",
    ),
}


def write(folder: Path, data: Rows, name: str = "rows.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in data), encoding="utf-8")
    return str(path)


def look_at(folder: Path, data: Rows, **flags: Any) -> DataFacts:
    return inspect_data(patterns=[write(folder, data)], **flags)


@pytest.mark.parametrize(("data", "task", "keys"), READ.values(), ids=READ.keys())
def test_a_shape_is_known_by_its_columns(
    data: Rows, task: Any, keys: dict[str, str], tmp_path: Path
) -> None:
    if set(keys) <= set(task.model_fields):
        found = look_at(tmp_path, data)
        assert (found.task, found.keys) == (task, keys)
        assert found.rows == len(data) == len(found.texts)
        assert set(found.unused) == set(data[0]) - set(keys.values())
        labels = [str(row[keys["label_column"]]) for row in data] if found.labels else []
        assert found.labels in (None, {name: labels.count(name) for name in labels})
        assert (found.labels is None) == ("label_column" not in keys)
    else:  # a shape that no task reads is not passed off as another
        with pytest.raises(DataError) as caught:
            look_at(tmp_path, data)
        assert "--text-column" in str(caught.value.hint)
        assert all(name in caught.value.message for name in keys.values() if name != "label")


@pytest.mark.parametrize(("data", "flags", "said"), UNCLEAR.values(), ids=UNCLEAR.keys())
def test_what_is_unclear_is_asked(
    data: Rows, flags: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(HfcliError) as caught:
        look_at(tmp_path, data, **flags)
    assert said in f"{caught.value.message}\n{caught.value.hint}"
    assert isinstance(caught.value, DataError | RecipeError)


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_table_with_other_separators_is_not_taken_for_one_column_of_texts(
    mark: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    lines = [f"text{mark}label", *(f"{LONG} {i}{mark}{'ab'[i % 2]}" for i in range(12))]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match="separates the columns") as caught:
        inspect_data(patterns=[str(path)])
    assert "--text-column" in str(caught.value.hint)
    found = inspect_data(patterns=[str(path)], text_column=f"text{mark}label")
    assert found.task is TextGeneration


def test_utf_16_is_named_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for encoding, said in (("utf-16", "iconv -f utf-16"), ("latin1", "iconv -f latin1")):
        path.write_bytes(f"text,label\n{LONG}é,a\n".encode(encoding))
        with pytest.raises(DataError) as caught:
            inspect_data(patterns=[str(path)])
        assert said in str(caught.value.hint)


def test_flags_decide_what_was_unclear(tmp_path: Path) -> None:
    two = rows(a=text, b=text, x=["1", "2"], y=["1", "2", "3"])
    found = look_at(tmp_path, two, text_column="b", label_column="y")
    assert found.keys == {"text_column": "b", "label_column": "y"}
    assert found.labels == {"1": 4, "2": 4, "3": 4}
    found = look_at(tmp_path, two, text_column="a", task="text-generation")
    assert (found.task, found.keys, found.labels) == (TextGeneration, {"text_column": "a"}, None)


def test_a_column_that_is_named_is_read_alone(tmp_path: Path) -> None:
    pairs = rows(premise=text, hypothesis=text, label=["yes", "no"])
    found = look_at(tmp_path, pairs, text_column="premise")
    assert found.keys == {"text_column": "premise", "label_column": "label"}
    assert found.unused == ["hypothesis"]


def test_blank_texts_by_themselves_are_left_to_finetune(tmp_path: Path) -> None:
    found = look_at(tmp_path, [*rows(text=text), {"text": ""}])
    assert (found.task, found.rows) == (TextGeneration, 13)


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_a_header_line_that_is_a_row_is_noticed(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    mark = {".tsv": "\t", ".csv": ","}[suffix]
    path.write_text("".join(f"{LONG} {i}{mark}{i % 2}\n" for i in range(8)), encoding="utf-8")
    with pytest.raises(DataError, match=":1: looks like a row") as caught:
        inspect_data(patterns=[str(path)])
    assert "--column-names" in str(caught.value.hint)
    found = inspect_data(patterns=[str(path)], column_names=["text", "label"])
    assert (found.rows, found.labels) == (8, {"0": 4, "1": 4})


def test_files_are_split_by_their_names(tmp_path: Path) -> None:
    data = rows(text=text, label=["a", "b"])
    names = ["my-train.jsonl", "dev.jsonl", "test_1.jsonl", "more.jsonl", "contest.jsonl"]
    files = [write(tmp_path, data, name) for name in names]
    found = inspect_data(patterns=files)
    assert found.files == {
        "train": [files[0], files[3], files[4]],
        "validation": [files[1]],
        "test": [files[2]],
    }
    assert found.rows == 36  # of the training files
    assert inspect_data(patterns=files[2:3]).files == {"train": files[2:3]}


def test_a_txt_file_is_one_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{LONG}\n\n{LONG}\n", encoding="utf-8")
    found = inspect_data(patterns=[str(tmp_path / "*.txt")])
    assert (found.rows, found.is_plain_text, found.has_rows) == (1, True, False)


def test_every_row_is_counted_and_a_fixed_sample_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey_module, "SAMPLE", 10)
    data = rows(200, text=text, label=["a", "b"])
    data[77]["text"] = LONG * 20
    path = Path(write(tmp_path, data))
    seen = profile([path], FileOptions())
    assert (seen.rows, seen.complete) == (200, True)
    assert seen.columns["label"].values == {"a": 100, "b": 100}
    assert seen.columns["text"].characters == sum(len(row["text"]) for row in data)
    assert len(seen.sample) in (10, 11)
    assert data[77] in seen.sample
    assert seen.sample == profile([path], FileOptions()).sample
    monkeypatch.setattr(survey_module, "MAX_ROWS", 150)
    assert not profile([path], FileOptions()).complete
    monkeypatch.setattr(survey_module, "MAX_ROWS", 200)
    assert profile([path], FileOptions()).complete


def test_rows_that_are_left_out_are_not_counted_among_those_to_train_on(tmp_path: Path) -> None:
    good = rows(label=["calm", "storm"], text=text)
    bad: Rows = [{"text": None, "label": "calm"}, {"text": "x", "label": " "}]
    path = tmp_path / "a.jsonl"
    lines = [*map(json.dumps, [*good, *bad]), "{"]
    path.write_text("\n".join(lines))
    told: list[str] = []
    found = inspect_data(patterns=[str(path)], on_bad_row="skip", tell=told.append)
    assert (found.rows, found.labels) == (12, {"calm": 6, "storm": 6})
    assert told == ["3 row(s) that cannot be read or lack a value are left out"]
