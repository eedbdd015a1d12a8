"""A run that leaves rows out is the run without these rows, and says so everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import DataError
from hfcli.evaluation.forward import evaluate
from hfcli.evaluation.questions import read_questions
from hfcli.evaluation.run import EvalOptions
from hfcli.generation.bulk import generate_file
from hfcli.generation.bulk_files import BulkFiles
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import TextOptions
from hfcli.recipe.load import load_recipe
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import Note
from tests.asking import recipe_of
from tests.integration.test_training import RUNS, log, run, write_recipe

BAD = ['{"text": null, "label": "1"}', "{", '{"label": "1"}', '{"text": "a", "label": null}']
SKIP = "data.on_bad_row=skip"


def spoil(path: Path, bad: list[str]) -> None:
    """Put bad rows between the rows of a file."""
    good = path.read_text(encoding="utf-8").splitlines()
    lines = [
        line for i, one in enumerate(good) for line in ([bad[i]] if i < len(bad) else []) + [one]
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def both(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run without bad rows, and one that leaves them out."""
    folders = []
    for name in ("clean", "skipping"):
        path = write_recipe(tmp_path_factory.mktemp(name), tiny_gpt2, **RUNS["grouped"])
        if name == "skipping":
            spoil(path.parent / "rows.jsonl", BAD)
        folders.append(run(path, "training.max_steps=3", *([SKIP] if name == "skipping" else [])))
    return folders[0], folders[1]


def test_the_run_is_that_without_the_rows(both: tuple[Path, Path]) -> None:
    clean, skipping = both
    losses = [[line.get("loss", line.get("eval_loss")) for line in log(one)] for one in both]
    assert losses[0] == losses[1] != []
    told = json.loads((skipping / "result.json").read_text())
    train = told["data"]["train"]
    assert train["skipped"] == len(BAD)
    places = [row.partition(": ")[0].rpartition(":")[2] for row in train["skipped_rows"]]
    assert places == ["1", "3", "5", "7"]
    assert any("4 row(s) were skipped" in note for note in told["notes"])
    assert json.loads((clean / "result.json").read_text())["data"]["train"]["skipped"] == 0


def test_the_report_of_an_evaluation_lists_them_each_time(
    both: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe = load_recipe(both[1] / "recipe.yaml", [f"model.name_or_path={both[1]}"])
    notes: list[str] = []

    def listen(event: Any) -> None:
        notes.extend([event.text] if isinstance(event, Note) else [])

    for _ in range(2):  # computed, and found
        options = EvalOptions(output_dir=tmp_path / "eval", offline=True)
        result = evaluate(recipe=recipe, listener=listen, options=options)
        report = result.to_report()
        assert report["n_skipped"] == len(report["skipped_rows"]) == len(BAD)
        (tmp_path / "eval" / "report.json").write_text(json.dumps(report))
    assert sum("4 row(s) were skipped" in note for note in notes) == 2
    assert any("predictions found" in note for note in notes)


def test_questions_that_cannot_be_asked_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    good = json.dumps({"prompt": "a", "reference": "b"})
    path.write_text(f'{good}\n{{\n{{"prompt": "a"}}\n{{"prompt": 5, "reference": "b"}}\n{good}\n')
    recipe = recipe_of("generate-until", path, "model.name_or_path=bundled")
    with pytest.raises(DataError, match=r"q\.jsonl:2: not JSON"):
        read_questions(task=recipe.task, data=recipe.data, seed=0)
    recipe = recipe_of("generate-until", path, "model.name_or_path=bundled", SKIP)
    found = read_questions(task=recipe.task, data=recipe.data, seed=0)
    assert len(found.items) == 2
    assert [row.rpartition("q.jsonl:")[2][0] for row in found.skipped.skipped_rows] == list("234")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_file_of_texts_has_the_good_rows_only(
    suffix: str, tiny_gpt2: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt": "Bread"}\n{\n{"prompt": ""}\n{"prompt": "lamp"}\n')

    def started(output: Path, on_error: str) -> Any:
        return generate_file(
            files=BulkFiles(str(source), str(output), on_error=on_error),
            choice=ModelChoice(str(tiny_gpt2), device="cpu"),
            settings=GenerationSettings(max_new_tokens=2),
            options=TextOptions(),
            seed=0,
            listener=lambda event: None,
        )

    output = tmp_path / f"out{suffix}"
    for _ in range(2):  # computed, and there already
        result = started(output, "skip")
        assert [row.partition(": ")[0][-1] for row in result.skipped_rows] == ["2", "3"]
    told = json.loads((tmp_path / f"out{suffix}.run.json").read_text())
    assert len(told["counts"]["skipped_rows"]) == 2
    if suffix == ".jsonl":
        whole = tmp_path / "whole.jsonl"
        started(whole, "record")
        lines = whole.read_text().splitlines()
        assert output.read_text().splitlines() == [lines[0], lines[3]]
