"""The end of a run: what is saved, its scores, and the result. Trains nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli import files
from hfcli.recipe.schema import Recipe
from hfcli.results import FinetuneResult
from hfcli.training.rehearsal import saved_generation_config, without_adapter
from hfcli.training.setup import RunSetup
from hfcli.training.validation import validation_scores

if TYPE_CHECKING:
    from hfcli.training.trainer import HfcliTrainer


def save_model(
    trainer: HfcliTrainer, setup: RunSetup, recipe: Recipe, folder: Path
) -> dict[str, Any]:
    """Save the model, and return the scores of exactly what was saved, matrices included.

    Raises:
        RunError: its weights are not finite, or not in the number type to save.
    """
    import torch

    model: Any = setup.loaded.model
    save_dtype = recipe.training.save_dtype
    if save_dtype is not None:
        model.to(getattr(torch, save_dtype)).to(torch.float32)
    trainer.check_weights()
    scores = None if save_dtype else _known_scores(trainer)
    if setup.validation is not None and scores is None:
        scores = validation_scores(setup, recipe.training.per_device_eval_batch_size)
    if save_dtype is not None:
        model.to(getattr(torch, save_dtype))
    if model.can_generate():
        base = without_adapter(model)
        base.generation_config = saved_generation_config(base, recipe.generation)
    # Trainer switches the cache off in the configuration, and would save it that way.
    model.config.use_cache = True
    trainer.save_model(str(folder))
    files.share(folder)
    return scores or {}


def _known_scores(trainer: HfcliTrainer) -> dict[str, Any] | None:
    """Scores of the model as it is now, when this process has measured them already."""
    step = best_step(trainer) or trainer.state.global_step
    return trainer.known_scores.get(step)


def best_step(trainer: HfcliTrainer) -> int | None:
    """Return the step of the checkpoint that was loaded at the end as the best, if one was.

    The best evaluation may be of a step that was not saved; `state.best_global_step` is that one.
    """
    path = trainer.state.best_model_checkpoint
    if not trainer.args.load_best_model_at_end or path is None:
        return None
    return int(Path(path).name.removeprefix("checkpoint-"))


def describe_result(
    recipe: Recipe,
    trainer: HfcliTrainer,
    setup: RunSetup,
    scores: dict[str, Any],
    seconds: float,
    notes: list[str],
) -> FinetuneResult:
    """The result of a run that has ended.

    Args:
        recipe, trainer, setup: of the run.
        scores: of the saved model.
        seconds: time of the training loop.
        notes: sentences for the reader.
    """
    state = trainer.state
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    splits = {"train": setup.train, "validation": setup.validation}
    return FinetuneResult(
        task=recipe.task.name,
        model=setup.loaded.source.name,
        revision=setup.loaded.source.revision,
        output_dir=str(recipe.output_dir),
        steps=state.global_step,
        epochs=float(state.epoch or 0),
        train_rows=len(setup.train.lengths),
        train_loss=losses[-1] if losses else None,
        metrics={
            name: None if math.isnan(value) else value  # not defined for these rows
            for name, value in scores.items()
            if not isinstance(value, list)
        },
        confusion_matrix=scores.get("confusion_matrix"),
        tokens_seen=int(state.num_input_tokens_seen),
        seconds=seconds,
        seed=recipe.seed,
        device=str(trainer.args.device),
        bf16=bool(trainer.args.bf16),
        labels=setup.train.labels,
        data={name: split.counts.to_dict() for name, split in splits.items() if split},
        try_next=list(recipe.task.try_next),
        notes=notes,
    )
