"""Whatever a data file holds, its error repeats at most 200 characters of a value."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfcli.data.inspect_data import inspect_data
from hfcli.data.splits import load_splits
from hfcli.errors import HfcliError
from hfcli.evaluation.questions import read_questions
from hfcli.recipe.load import Draft, validate_as
from hfcli.recipe.questions import QuestionRecipe
from hfcli.recipe.schema import DataSection
from hfcli.tasks.text_classification import TextClassification

LONG = "x" * 5_000
ROWS: dict[str, list[dict[str, Any]]] = {
    "label": [{"text": "a", "label": LONG}, {"text": "b", "label": "no"}] * 4,
    "labels": [{"text": "a", "label": f"{i}{LONG}"} for i in range(8)],
    "words": [{"text": "a", "label": "x " * 2_500}, {"text": "b", "label": "no"}] * 4,
    "column": [{LONG: "a", "label": "no"}, {LONG: "b", "label": "yes"}] * 4,
    "columns": [{f"{i}{LONG}": "a" for i in range(30)}] * 4,
    "number": [{"text": "a", "label": f"1.5{LONG}"}, {"text": "b", "label": "0.1"}] * 4,
}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


def ask(path: Path, task: dict[str, Any]) -> object:
    draft = Draft.from_flags({"task": task, "data": {"test": [str(path)]}}, [])
    recipe = validate_as(QuestionRecipe, draft)
    return read_questions(task=recipe.task, data=recipe.data, seed=0)


def split(path: Path, problem: Any) -> object:
    section = DataSection(train=[str(path)], validation_size=0.5)
    task = TextClassification(problem_type=problem)
    splits = load_splits(section=section, task=task, seed=0)
    return splits


USES: dict[str, Callable[[Path], object]] = {
    "single": lambda path: split(path, "single_label_classification"),
    "several": lambda path: split(path, "multi_label_classification"),
    "number": lambda path: split(path, "regression"),
    "no column": lambda path: inspect_data(patterns=[str(path)], label_column="nope"),
    "no prompt": lambda path: ask(path, {"name": "generate-until"}),
    "template": lambda path: ask(path, {"name": "generate-until", "template": "{nope}"}),
    "choices": lambda path: ask(
        path, {"name": "multiple-choice", "prompt_column": "text", "choices_column": "label"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", ROWS)
def test_errors_cut_values(kind: str, suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"d.{suffix}", ROWS[kind])
    told = []
    for use in USES.values():
        try:
            use(path)
        except HfcliError as e:
            told.append(e.message)
    assert len(told) >= 3
    longest = max(len(run) for text in told for run in re.findall(r"(?:x ?)*", text))
    assert longest <= 201, told
