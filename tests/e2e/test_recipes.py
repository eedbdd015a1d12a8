"""`hfcli recipes init` as a user runs it, and `hfcli finetune` on what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfcli.tasks.text_classification import TextClassification
from hfcli.tasks.text_generation import TextGeneration
from tests.helpers import hfcli, write_csv
from tests.unit.test_inspect_data import Rows, rows, text, write

STEPS = "training.max_steps=2"
ROWS = [(f"the boat {i} lay still", ("calm", "storm")[i % 2]) for i in range(24)]


def finetune(folder: Path, task: str) -> None:
    done = hfcli("finetune", "recipe.yaml", STEPS, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["steps"], result["task"]) == (2, task)


def test_a_recipe_for_a_csv_file_runs_as_it_is(tmp_path: Path, tiny_bert: Path) -> None:
    write_csv(tmp_path / "messages.csv", ROWS)
    done = hfcli("recipes", "init", "--data", "messages.csv", "-m", tiny_bert, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "next: hfcli finetune recipe.yaml" in done.stderr
    assert "24 rows" in (tmp_path / "recipe.yaml").read_text(encoding="utf-8")
    finetune(tmp_path, "text-classification")
    assert (tmp_path / "runs" / "messages" / "result.json").is_file()


def test_a_recipe_for_a_text_file_runs_as_it_is(tmp_path: Path, tiny_gpt2: Path) -> None:
    (tmp_path / "story.txt").write_text("\n\n".join(a for a, _ in ROWS), encoding="utf-8")
    done = hfcli("recipes", "init", "-d", "story.txt", "-m", tiny_gpt2, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    finetune(tmp_path, "text-generation")


# The keys that read them are those of the tasks; a task without them must refuse the data.
SHAPES: dict[str, tuple[Rows, bool]] = {
    "texts": (rows(120, story=text), True),
    "pairs": (
        rows(24, premise=text, hypothesis=text, label=["yes", "no"]),
        "text_pair_column" in TextClassification.model_fields,
    ),
    "prompts": (
        rows(24, prompt=text, completion=text),
        "completion_column" in TextGeneration.model_fields,
    ),
}


@pytest.mark.parametrize(("data", "supported"), SHAPES.values(), ids=SHAPES.keys())
def test_a_recipe_for_json_lines_runs_or_is_refused(
    data: Rows, supported: bool, tmp_path: Path, tiny_gpt2: Path
) -> None:
    write(tmp_path, data)
    done = hfcli("recipes", "init", "-d", "rows.jsonl", "-m", tiny_gpt2, cwd=tmp_path)
    assert done.returncode == (0 if supported else 3), done.stderr
    if supported:
        finetune(tmp_path, "text-classification" if "label" in data[0] else "text-generation")
    else:
        assert "--text-column" in done.stderr


def test_init_never_replaces_a_recipe_and_writes_it_to_stdout_on_demand(tmp_path: Path) -> None:
    write_csv(tmp_path / "messages.csv", ROWS)
    (tmp_path / "recipe.yaml").write_text("mine")
    refused = hfcli("recipes", "init", "--data", "messages.csv", cwd=tmp_path)
    assert refused.returncode == 2
    assert "recipe.yaml: already exists" in refused.stderr
    assert (tmp_path / "recipe.yaml").read_text() == "mine"
    shown = hfcli("recipes", "init", "--data", "messages.csv", "-o", "-", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    forced = hfcli("recipes", "init", "--data", "messages.csv", "--overwrite", cwd=tmp_path)
    assert forced.returncode == 0, forced.stderr
    assert (tmp_path / "recipe.yaml").read_text(encoding="utf-8") == shown.stdout


def test_with_the_schema_in_its_place_an_editor_is_served(tmp_path: Path) -> None:
    write_csv(tmp_path / "messages.csv", ROWS)
    without = hfcli("recipes", "init", "--data", "messages.csv", cwd=tmp_path)
    assert "next: hfcli recipes schema > recipe.schema.json" in without.stderr
    schema = hfcli("recipes", "schema").stdout
    (tmp_path / "recipe.schema.json").write_text(schema, encoding="utf-8")
    there = hfcli("recipes", "init", "--data", "messages.csv", "--overwrite", cwd=tmp_path)
    assert "schema" not in there.stderr


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--data", "nowhere.csv"], 3, "no such file"),
        (["--data", "messages.csv", "--task", "x"], 2, "--task: unknown task 'x'"),
        (["--data", "messages.csv", "--label", "lable"], 3, "did you mean label?"),
        (["--data", "messages.csv", "-m", "./nowhere"], 4, "no such file or folder"),
        ([], 2, "--data"),
    ],
)
def test_what_cannot_be_done_has_its_code(
    flags: list[str], code: int, said: str, tmp_path: Path
) -> None:
    write_csv(tmp_path / "messages.csv", ROWS)
    done = hfcli("recipes", "init", *flags, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
