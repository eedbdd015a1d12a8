"""A Trainer without the private names that hfcli uses, or that works around the public ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from transformers import Trainer

from hfcli.errors import RecipeError, RunError
from hfcli.recipe.load import load_recipe
from hfcli.training.arguments import arguments_for, training_arguments
from hfcli.training.trainer import HfcliTrainer
from tests.integration.test_training import log, run, write_recipe

CLASSIFY = {"name": "text-classification"}


@pytest.fixture
def recipe(tiny_gpt2: Path, tmp_path: Path) -> Path:
    training = {"per_device_train_batch_size": 4, "num_train_epochs": 2, "save_strategy": "no"}
    return write_recipe(tmp_path, tiny_gpt2, task=CLASSIFY, training=training)


def break_gradients(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Make the gradients of a step infinite, with a loss that is not."""
    own = HfcliTrainer.training_step

    def training_step(self: Any, model: Any, *inputs: Any) -> Any:
        loss = own(self, model, *inputs)
        if self.state.global_step == step:
            for parameter in model.parameters():
                if parameter.grad is not None and not parameter.grad.is_sparse:
                    parameter.grad.fill_(float("inf"))
        return loss

    monkeypatch.setattr(HfcliTrainer, "training_step", training_step)


@pytest.mark.parametrize("clips", ["by accelerate", "by itself"])
def test_infinite_gradients_stop_a_run_however_trainer_clips(
    clips: str, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_gradients(monkeypatch, step=2)
    if clips == "by itself":
        monkeypatch.delattr(Accelerator, "clip_grad_norm_")

        def clip(self: Any, model: Any) -> Any:
            return torch.nn.utils.clip_grad_norm_(model.parameters(), self.args.max_grad_norm)

        monkeypatch.setattr(Trainer, "_clip_grad_norm", clip)
    with pytest.raises(RunError, match=r"the norm of the gradients is .* at step 3"):
        run(recipe, f"output_dir={tmp_path / 'run'}")


def no_room(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let memory run out, once, in a step with more than two rows."""
    own = HfcliTrainer.training_step

    def training_step(self: Any, model: Any, inputs: dict[str, Any], items: Any = None) -> Any:
        if self.state.global_step == step and len(inputs["labels"]) > 2:
            raise torch.OutOfMemoryError("no room")
        return own(self, model, inputs, items)

    monkeypatch.setattr(HfcliTrainer, "training_step", training_step)


def test_out_of_memory_goes_on_from_the_last_checkpoint_where_a_step_cannot_be_saved(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = ("training.save_strategy=steps", "training.save_steps=2")
    whole = run(recipe, f"output_dir={tmp_path / 'whole'}", *saves)
    no_room(monkeypatch, step=3)
    monkeypatch.setattr("hfcli.training.loop.write_checkpoint", lambda trainer: False)
    divided = log(run(recipe, f"output_dir={tmp_path / 'run'}", *saves))
    assert divided[:2] == log(whole)[:2]
    parts = [
        [(line["step"], line.get("learning_rate")) for line in each]
        for each in (divided, log(whole))
    ]
    assert parts[0] == parts[1], "each step is taken once, though dropout draws others by two rows"


def test_out_of_memory_without_any_checkpoint_is_an_error(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_room(monkeypatch, step=3)
    monkeypatch.setattr("hfcli.training.loop.write_checkpoint", lambda trainer: False)
    with pytest.raises(RunError, match="out of memory"):
        run(recipe, f"output_dir={tmp_path / 'run'}")


def test_the_best_step_needs_validation_rows(recipe: Path, tmp_path: Path) -> None:
    keys = ["training.eval_strategy=epoch", "training.early_stopping_patience=2"]
    arguments = training_arguments(recipe=load_recipe(recipe, keys), device=torch.device("cpu"))
    assert arguments_for(arguments, folder=tmp_path, split=(2, 4), evaluate=True)
    with pytest.raises(RecipeError, match="need validation rows"):
        arguments_for(arguments, folder=tmp_path, split=(2, 4), evaluate=False)
