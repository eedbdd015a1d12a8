"""Rows that cannot be used: an error that counts them, or left out, counted and listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hfcli.data.prompts import open_rows
from hfcli.data.splits import load_splits
from hfcli.errors import DataError
from hfcli.recipe.schema import DataSection
from hfcli.tasks.base import ORIGIN, Task
from hfcli.tasks.text_classification import TextClassification
from hfcli.tasks.text_generation import TextGeneration

GOOD = [{"text": f"text {i}", "label": str(i % 2)} for i in range(6)]
LACKS: dict[str, dict[str, Any]] = {
    "null-text": {"text": None, "label": "1"},
    "null-label": {"text": "a", "label": None},
    "nan-label": {"text": "a", "label": float("nan")},
    "no-label": {"text": "a"},
    "blank-text": {"text": " \n", "label": "1"},
}


def jsonl(path: Path, rows: list[Any]) -> str:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def load(train: str, task: Task | None = None, **data: Any) -> Any:
    section = DataSection(train=[train], validation=[train], **data)
    return load_splits(section=section, task=task or TextClassification(), seed=0)


@pytest.mark.parametrize("kind", LACKS)
@pytest.mark.parametrize("more", [0, 1, 12])
def test_rows_that_lack_a_value_are_counted_behind_the_first(
    kind: str, more: int, tmp_path: Path
) -> None:
    train = jsonl(tmp_path / "a.jsonl", [*GOOD, LACKS[kind], *GOOD, *[LACKS[kind]] * more])
    with pytest.raises(DataError) as caught:
        load(train)
    told = f"{train}:7: "
    assert caught.value.message.startswith(told)
    assert (f"and {more} more" in caught.value.message) == bool(more)
    assert "on_bad_row" in str(caught.value.hint) or kind == "no-label"


def test_a_column_that_no_row_has_is_not_counted_as_a_lack_of_values(tmp_path: Path) -> None:
    train = jsonl(tmp_path / "a.jsonl", [{"txt": "a", "label": "1"}] * 5)
    with pytest.raises(DataError, match=r"a\.jsonl:1: no column 'text'") as caught:
        load(train)
    assert "more row" not in caught.value.message


@pytest.mark.parametrize("bad", [*LACKS.values(), "{", "[1]", '{"text": "\udcff"}'], ids=repr)
def test_a_skipped_row_changes_nothing_but_the_account(bad: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        json.dumps(row) if isinstance(row, dict) else row for row in [*GOOD[:3], bad, *GOOD[3:]]
    ]
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    found = load(str(path), on_bad_row="skip")
    counts = found.skipped["train"]
    assert counts.skipped == 1
    assert counts.skipped_rows[0].startswith(f"{path}:4: ")
    (tmp_path / "b").mkdir()
    clean = load(jsonl(tmp_path / "b" / "a.jsonl", GOOD)).get("train")
    train = found.get("train")
    assert [train[name] for name in ("text", "label")] == [clean[n] for n in ("text", "label")]
    assert [origin.rpartition(":")[2] for origin in train[ORIGIN]] == ["1", "2", "3", "5", "6", "7"]


def test_a_wrong_type_is_no_row_to_skip(tmp_path: Path) -> None:
    """It is the recipe that is wrong, and leaving all rows out would hide it."""
    train = jsonl(tmp_path / "a.jsonl", [*GOOD, {"text": "a", "label": ["x"]}])
    with pytest.raises(DataError, match=r"a\.jsonl:7: .* found list"):
        load(train, on_bad_row="skip")


def test_where_no_row_is_left_the_first_is_told(tmp_path: Path) -> None:
    train = jsonl(tmp_path / "a.jsonl", [{"txt": "a", "label": "1"}] * 5)
    with pytest.raises(DataError, match=r"no row is left: .*a\.jsonl:1: no column 'text'.* 4 more"):
        load(train, on_bad_row="skip")


def test_the_list_of_skipped_rows_is_bounded_and_the_count_is_not(tmp_path: Path) -> None:
    train = jsonl(tmp_path / "a.jsonl", [*GOOD, *[LACKS["null-text"]] * 3000])
    counts = load(train, on_bad_row="skip").skipped["train"]
    assert counts.skipped == 3000
    assert len(counts.skipped_rows) == 1000
    assert "3,000 row(s)" in counts.sentences()[0]
    assert "2,997 more" in counts.sentences()[0]


@pytest.mark.parametrize("kind", ["int", "float", "float-with-holes"])
def test_whole_numbers_of_pandas_are_the_labels_they_were(kind: str, tmp_path: Path) -> None:
    labels: list[Any] = [1, 0, 1, 0] if kind == "int" else [1.0, 0.0, 1.0, 0.0]
    rows = [{"text": "a", "label": label} for label in labels]
    rows += [{"text": "a", "label": float("nan")}] if "holes" in kind else []
    found = load(jsonl(tmp_path / "a.jsonl", rows), on_bad_row="skip")
    config = TextClassification().config_overrides(found.get("train"))
    assert config["label2id"] == {"0": 0, "1": 1}
    problem = TextClassification().problem()
    read = problem.labels(found.get("train"), "label", ["0", "1"])
    assert [label.names for _, label in read] == [("1",), ("0",), ("1",), ("0",)]


def test_regression_keeps_its_numbers(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": label} for label in (1.0, 2.5, 3)]
    task = TextClassification(problem_type="regression")
    found = load(jsonl(tmp_path / "a.jsonl", rows), task)
    read = task.problem().labels(found.get("train"), "label", [])
    assert [label.target for _, label in read] == [1.0, 2.5, 3.0]


YES, NO = [1, "1", True, 1.0, "1.0", "true"], [0, "0", False, 0.0, "0.0", "False"]


def test_one_column_a_label_is_the_labels_of_the_row(tmp_path: Path) -> None:
    task = TextClassification(label_columns=("rude", "loud"))
    assert task.problem_type == "multi_label_classification"
    pairs = [(r, s) for y, n in zip(YES, NO, strict=True) for r in (y, n) for s in (y, n)]
    rows = [{"text": "a", "rude": r, "loud": s} for r, s in pairs]
    train = load(jsonl(tmp_path / "a.jsonl", rows), task).get("train")
    said = ("1", "1.0", "true")
    expected = [["rude"] * (str(r).lower() in said) + ["loud"] * (str(s).lower() in said)
                for r, s in pairs]  # fmt: skip
    assert [list(value) for value in train["label"]] == expected
    assert task.config_overrides(train)["label2id"] == {"rude": 0, "loud": 1}


@pytest.mark.parametrize("value", [2, -1, 0.5, "x", None, "", [1], float("nan")])
def test_a_cell_of_a_label_is_0_or_1(value: Any, tmp_path: Path) -> None:
    task = TextClassification(label_columns=("rude", "loud"))
    train = jsonl(tmp_path / "a.jsonl", [{"text": "a", "rude": 1, "loud": value}])
    with pytest.raises(DataError, match=r"a\.jsonl:1: column 'loud' must be 0 or 1, found"):
        load(train, task)


def test_rows_of_text_stay_empty_rows(tmp_path: Path) -> None:
    """A blank text was left out, and counted, before; it is no bad row."""
    train = jsonl(tmp_path / "a.jsonl", [{"text": "a"}, {"text": ""}, {"text": None}])
    found = load(train, TextGeneration(), on_bad_row="skip")
    assert found.get("train")["text"] == ["a", ""]
    assert found.skipped["train"].skipped == 1


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_an_object_that_names_a_key_twice_is_a_bad_row(suffix: str, tmp_path: Path) -> None:
    rows = [json.dumps(row) for row in GOOD]
    rows[2] = '{"text": "a", "text": "z", "label": "1"}'
    text = "\n".join(rows) if suffix == ".jsonl" else f"[{', '.join(rows)}]"
    path = tmp_path / f"a{suffix}"
    path.write_text(text)
    with pytest.raises(DataError, match=r":3: names 'text' twice"):
        load(str(path))
    found = load(str(path), on_bad_row="skip")
    assert found.skipped["train"].skipped == 1
    assert len(found.get("train")) == len(GOOD) - 1


def test_a_header_line_is_no_row_of_a_file_that_was_said_to_have_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,0\nb,1\n")
    with pytest.raises(DataError, match=r"a\.csv:1: names the columns .*text, label") as caught:
        load(str(path), column_names=["text", "label"])
    assert "leave" in str(caught.value.hint)
    assert (
        len(load(str(path), column_names=["text", "kind"], task=TextGeneration()).get("train")) == 3
    )


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_prompts_of_a_table_with_another_delimiter_are_refused(mark: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"id{mark}prompt\n7{mark}hello\n")
    with pytest.raises(DataError, match="there is one column only"):
        list(open_rows(str(path)).read())
    path.write_text(f"a prompt{mark} and more\nhello\nyou\n")
    assert len(list(open_rows(str(path)).read())) == 2
