"""The lock comes before every look: whoever does not hold it says nothing about what is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hfcli import runfolder
from hfcli.errors import HfcliError, RunError
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.generation.bulk import generate_file
from hfcli.generation.bulk_files import BulkFiles
from hfcli.generation.journal import hold
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import TextOptions
from hfcli.models.merge import merge_adapter
from hfcli.recipe.load import load_recipe
from hfcli.recipe.sections import GenerationSettings
from hfcli.recipe.sweep import load_sweep
from hfcli.training.run import RunOptions, finetune
from hfcli.training.sweep import sweep
from tests.asking import ignore

RECIPE = """\
task: {name: text-classification, text_column: text, label_column: label}
model: {name_or_path: nowhere}
data: {train: nowhere.csv}
output_dir: out
"""


def _recipe(folder: Path) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def _finetune(folder: Path, resume: bool) -> object:
    options = RunOptions(resume=resume, overwrite=not resume)
    return finetune(recipe=load_recipe(_recipe(folder)), listener=ignore, options=options)


def _sweep(folder: Path) -> object:
    out, runs = load_sweep(_recipe(folder), [], ["seed=1,2"])
    train: Callable[..., object] = pytest.fail
    return sweep(runs=runs, folder=out, train=train, listener=ignore)  # type: ignore[arg-type]


def _bulk(folder: Path) -> object:
    return generate_file(
        files=BulkFiles(str(folder / "nowhere.jsonl"), str(folder / "out" / "x.jsonl")),
        choice=ModelChoice("./nowhere"),
        settings=GenerationSettings(),
        options=TextOptions(),
        seed=0,
        listener=ignore,
    )


def _evaluation(folder: Path) -> object:
    told = {"weights_sha256": "w", "data_sha256": "d", "settings": {}}
    place = EvaluationFolder(
        named=folder / "out", default=folder, overwrite=False, about={"model": "m", "data": "d"}
    )
    with place:
        return place.take(told)


JOBS: dict[str, Callable[[Path], object]] = {
    "finetune --overwrite": lambda folder: _finetune(folder, False),
    "finetune --resume": lambda folder: _finetune(folder, True),
    "sweep": _sweep,
    "bulk": _bulk,
    "evaluation": _evaluation,
    "merge": lambda folder: merge_adapter(name="./nowhere", folder=folder / "out"),
}


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_who_does_not_hold_the_lock_only_hears_that(
    job: Callable[[Path], object], tmp_path: Path
) -> None:
    """What lies in the folder would be refused in other words, and so would input and model."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("thesis.txt", "run.json", "sweep.json", "predictions.jsonl", "x.jsonl"):
        (out / name).write_text("precious")
    before = sorted(out.iterdir())
    refused = pytest.raises(RunError, match="another process is writing it")
    with runfolder.hold(out), hold(out / "x.jsonl"), refused:
        job(tmp_path)
    with pytest.raises(HfcliError, match=r"^(?!.*another process)"):
        job(tmp_path)
    assert sorted(out.iterdir()) == before
    assert all(path.read_text() == "precious" for path in before)
