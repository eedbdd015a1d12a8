"""Splits: held out with care, complete, and the same for the same seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hfcli.data.splits import Splits, load_splits
from hfcli.errors import DataError
from hfcli.recipe.schema import DataSection
from hfcli.tasks.base import Task
from hfcli.tasks.text_classification import TextClassification
from hfcli.tasks.text_generation import TextGeneration
from tests.helpers import write_csv

ROWS = [(f"text {i}", "abbccc"[i % 6]) for i in range(120)]


def load(train: Path, task: Task | None = None, seed: int = 1, **section: Any) -> Splits:
    data = DataSection(train=[str(train)], **section)
    return load_splits(section=data, task=task or TextClassification(), seed=seed, offline=True)


def test_held_out_rows_are_stratified_disjoint_and_complete(tmp_path: Path) -> None:
    splits = load(write_csv(tmp_path / "a.csv", ROWS), validation_size=0.2)
    train, validation = splits.get("train"), splits.get("validation")
    assert Counter(validation["label"]) == {"a": 4, "b": 8, "c": 12}
    assert sorted([*train["text"], *validation["text"]]) == sorted(text for text, _ in ROWS)
    assert "validation split made from 20%" in splits.notes[0]


def test_the_seed_decides_the_split(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ROWS)
    one, again, other = (load(path, seed=s).get("validation")["text"] for s in (1, 1, 2))
    assert list(one) == list(again) != list(other)


def test_the_end_of_every_text_can_be_held_out(tmp_path: Path) -> None:
    texts = {"a": "one two three four\n" * 50, "b": "five six seven eight nine ten " * 40}
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text)
    texts_end: dict[str, Any] = {"task": TextGeneration(), "validation_from": "end"}
    splits = load(tmp_path / "*.txt", validation_size=0.1, **texts_end)
    pairs = zip(splits.get("train")["text"], splits.get("validation")["text"], strict=True)
    for (head, tail), text in zip(pairs, texts.values(), strict=True):
        assert head + tail == text
        assert len(tail) == pytest.approx(len(text) * 0.1, rel=0.25)


@pytest.mark.parametrize("text", ["a" * 100, "a\n" + "b" * 1000, "words " * 50])
def test_a_text_is_cut_even_where_there_is_no_good_place(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    splits = load(tmp_path / "a.txt", task=TextGeneration(), validation_from="end")
    head, tail = splits.get("train")["text"][0], splits.get("validation")["text"][0]
    assert head + tail == text
    assert len(head) > 0.8 * len(text)
    assert tail


def test_max_samples_is_an_upper_bound(tmp_path: Path) -> None:
    splits = load(write_csv(tmp_path / "a.csv", ROWS), max_samples=50)
    assert (len(splits.get("train")), len(splits.get("validation"))) == (50, 12)


def test_the_stratified_split_is_that_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.model_selection import train_test_split

    rows = [(f"text {i}", "10" if i % 3 else "9") for i in range(61)]
    splits = load(write_csv(tmp_path / "a.csv", rows), validation_size=0.3, seed=5)
    labels = [label for _, label in rows]
    kept, held = train_test_split(list(range(61)), test_size=0.3, random_state=5, stratify=labels)
    assert list(splits.get("train")["text"]) == [f"text {i}" for i in sorted(kept)]
    assert list(splits.get("validation")["text"]) == [f"text {i}" for i in sorted(held)]


def test_a_sample_of_texts_that_are_cut_holds_both_parts_of_the_same(tmp_path: Path) -> None:
    texts = [f"{i} one two three four five six seven eight nine ten" for i in range(40)]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    options: dict[str, Any] = {"sample_by": "line", "validation_from": "end", "max_samples": 7}
    splits = load(tmp_path / "a.txt", task=TextGeneration(), **options)
    pairs = zip(splits.get("train")["text"], splits.get("validation")["text"], strict=True)
    together = [head + tail for head, tail in pairs]
    assert len(set(together)) == 7
    assert set(together) <= set(texts)


def test_a_given_validation_file_is_used_as_it_is(tmp_path: Path) -> None:
    dev = write_csv(tmp_path / "dev.csv", ROWS[:7])
    splits = load(write_csv(tmp_path / "a.csv", ROWS), validation=[str(dev)])
    assert (len(splits.get("train")), len(splits.get("validation"))) == (120, 7)
    with pytest.raises(DataError, match="the data has no test split"):
        splits.get("test")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "x"), ("", "y")], r"a.csv:3: column 'text' is empty"),
        ([("a", ""), ("b", "y")], r"a.csv:2: column 'label' must be .* found nothing"),
        ([(f"t{i}", f"l{i}") for i in range(20)], "every label has one row only"),
        ([("a", "x"), ("b", "y")] * 3, r"6 rows are too few to hold out 10%"),
        ([("a", "x")], r"1 training row\(s\) are too few"),
    ],
)
def test_unusable_rows_are_named(rows: list[tuple[str, str]], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load(write_csv(tmp_path / "a.csv", rows))


@pytest.mark.parametrize("single", [1, 3, 7])
def test_labels_with_one_row_stay_in_training_and_are_named(single: int, tmp_path: Path) -> None:
    rare = [(f"rare {i}", f"r{i}") for i in range(single)]
    rows = [*ROWS[:50], *rare, *ROWS[50:]]
    splits = load(write_csv(tmp_path / "a.csv", rows))
    train, held = splits.get("train"), splits.get("validation")
    assert {text for text, _ in rare} <= set(train["text"])
    assert sorted([*train["text"], *held["text"]]) == sorted(text for text, _ in rows)
    plain = load(write_csv(tmp_path / "b.csv", ROWS)).get("validation")
    assert held["text"] == plain["text"], "the other rows are split as without them"
    (note,) = [note for note in splits.notes if "one row only" in note]
    assert "'r0'" in note
    assert ("and 2 more" in note) is (single == 7)


def test_a_missing_column_says_what_is_there(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ROWS, header="txt,label")
    with pytest.raises(DataError, match=r"no column 'text'; it has \['txt', 'label'\]") as caught:
        load(path)
    assert caught.value.hint is not None
    assert "did you mean txt?" in caught.value.hint
    assert "task.text_column" in caught.value.hint
    assert "data.column_names" in caught.value.hint
