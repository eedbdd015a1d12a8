"""The output folder is deleted while a run writes into it: one error, whenever that is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from hfcli.errors import RunError
from hfcli.recipe.load import load_recipe
from hfcli.results import Evaluated, StepDone, TrainingStarted
from tests.integration.test_training import run, write_recipe

TRAINING = {"max_steps": 4, "save_steps": 2, "eval_steps": 3, "logging_steps": 1}
MOMENTS: dict[str, tuple[type, int]] = {
    "before the first step": (TrainingStarted, 0),
    "after a step": (StepDone, 1),
    "before a checkpoint": (StepDone, 2),
    "at an evaluation": (Evaluated, 0),
    "after the last step": (StepDone, 4),
}


@pytest.mark.parametrize(("kind", "number"), MOMENTS.values(), ids=MOMENTS.keys())
def test_training(tiny_gpt2: Path, tmp_path: Path, kind: type, number: int) -> None:
    path = write_recipe(
        tmp_path, tiny_gpt2, task={"name": "text-classification"}, training=TRAINING
    )
    folder = load_recipe(path).output_dir
    assert folder is not None
    gone: list[object] = []

    def listener(event: object) -> None:
        if not gone and isinstance(event, kind) and getattr(event, "step", number) >= number:
            shutil.rmtree(folder)
            gone.append(event)

    with pytest.raises(RunError):
        run(path, listener=listener)
    assert gone


def test_a_checkpoint_that_does_not_fit_is_named(
    tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is a RuntimeError of torch's that names no file."""
    path = write_recipe(
        tmp_path, tiny_gpt2, task={"name": "text-classification"}, training=TRAINING
    )

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunError, match=r"checkpoint-2: a file cannot be written") as caught:
        run(path)
    assert caught.value.hint == "make room, or write elsewhere"
