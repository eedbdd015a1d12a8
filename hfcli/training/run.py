"""A recipe -> a trained model in its output folder.

The order is: claim the folder, check the arguments, read the data, load or build the model,
prepare rows, train, save, write the result last. Knows nothing about terminals.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.data.splits import Splits, load_splits
from hfcli.device import Placement, resolve_device
from hfcli.errors import RecipeError, RunError
from hfcli.models.load import LoadedModel, ensure_pad_token, load_model
from hfcli.models.resolve import resolve_model
from hfcli.models.scratch import build_model
from hfcli.recipe.load import dump_recipe
from hfcli.recipe.schema import Recipe
from hfcli.results import FinetuneResult, Listener, Note
from hfcli.training import output
from hfcli.training.arguments import training_arguments
from hfcli.training.callbacks import make_callback
from hfcli.training.trainer import make_trainer

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments


def finetune(
    *,
    recipe: Recipe,
    listener: Listener,
    resume: bool = False,
    overwrite: bool = False,
    offline: bool = False,
) -> FinetuneResult:
    """Train as the recipe says and save the model, the resolved recipe and the result.

    Args:
        recipe: validated, with `output_dir` and `data.train` set.
        listener: gets events while the run goes.
        resume: go on from the last whole checkpoint in the output folder.
        overwrite: delete an earlier run in the output folder.
        offline: open no socket.

    Raises:
        DataError, ModelError, RunError, RecipeError: see `hfcli.errors`.
    """
    folder = _output_dir(recipe)
    _check_unresumable(recipe, folder, resume)
    output.claim(folder, resume=resume, overwrite=overwrite)

    from transformers import set_seed

    placement = resolve_device(recipe.device)
    arguments = training_arguments(recipe=recipe, device=placement.device)
    set_seed(recipe.seed)
    task = recipe.task
    splits = load_splits(section=recipe.data, task=task, seed=recipe.seed, offline=offline)
    loaded = _load(recipe, splits, placement, offline)
    train = task.prepare(splits.get("train"), loaded.tokenizer, loaded.model, train=True)
    validation = None
    if "validation" in splits.by_name:
        held = splits.get("validation")
        validation = task.prepare(held, loaded.tokenizer, loaded.model, train=False)
    notes = [*splits.notes, *(f"training data: {note}" for note in train.notes)]
    notes += [f"validation data: {note}" for note in (validation.notes if validation else [])]
    for note in notes:
        listener(Note(note))
    callback = make_callback(listener=listener, output_dir=folder, train_rows=len(train.features))
    trainer = make_trainer(
        task=task,
        loaded=loaded,
        arguments=arguments,
        train=train,
        validation=validation,
        callback=callback,
    )
    output.write_text(folder / output.RECIPE_FILE, dump_recipe(recipe))
    seconds = _train(trainer, folder, resume, listener)
    if trainer.args.load_best_model_at_end and trainer.state.best_global_step:
        best, name = trainer.state.best_global_step, arguments.metric_for_best_model
        notes.append(f"the model is that of step {best}, the best by {name}")
        listener(Note(notes[-1]))
    metrics = _finish(trainer, loaded, recipe, folder)
    result = _result(recipe, trainer, loaded, metrics, seconds, notes)
    output.write_text(folder / output.RESULT_FILE, json.dumps(result.to_dict(), indent=2) + "\n")
    return result


def _output_dir(recipe: Recipe) -> Path:
    if recipe.output_dir is None:
        raise RecipeError("the recipe names no output_dir", hint="-o FOLDER sets it")
    if not recipe.data.train:
        raise RecipeError("finetune needs data.train")
    return recipe.output_dir


def _check_unresumable(recipe: Recipe, folder: Path, resume: bool) -> None:
    if not resume or not folder.is_dir() or not any(folder.iterdir()):
        return
    earlier = folder / output.RECIPE_FILE
    if not earlier.is_file():
        raise RunError(f"{folder}: holds no run that could be resumed (no {earlier.name})")


def _load(recipe: Recipe, splits: Splits, placement: Placement, offline: bool) -> LoadedModel:
    from hfcli.device import resolve_dtype

    task = recipe.task
    train = splits.get("train")
    overrides = task.config_overrides(train)
    if recipe.model.config is not None:
        loaded = build_model(
            section=recipe.model,
            task=task,
            texts=train[task.columns()[0]],
            device=placement.device,
            config_overrides=overrides,
            offline=offline,
        )
    else:
        source = resolve_model(
            recipe.model.name_or_path, revision=recipe.model.revision, offline=offline
        )
        loaded = load_model(
            source=source,
            task=task,
            dtype=resolve_dtype(recipe.model.dtype, placement.device),
            # Training keeps a model whole: Trainer and accelerate move and shard it.
            placement=Placement(placement.device),
            config_overrides=overrides,
            new_head=True,
        )
    loaded.tokenizer.padding_side = task.padding_side
    ensure_pad_token(loaded)
    return loaded


def _train(trainer: Trainer, folder: Path, resume: bool, listener: Listener) -> float:
    import torch

    checkpoint = output.last_checkpoint(folder) if resume else None
    if resume:
        where = f"from {checkpoint}" if checkpoint else "from the start: no whole checkpoint yet"
        listener(Note(f"resuming {where}"))
    try:
        done = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as e:
        raise _out_of_memory() from e
    except RuntimeError as e:
        if "can't allocate memory" not in str(e):
            raise
        raise _out_of_memory() from e
    return float(done.metrics["train_runtime"])


def _out_of_memory() -> RunError:
    return RunError(
        "out of memory",
        hint="halve training.per_device_train_batch_size and double"
        " training.gradient_accumulation_steps: the result stays the same",
    )


def _finish(
    trainer: Trainer, loaded: LoadedModel, recipe: Recipe, folder: Path
) -> dict[str, float]:
    """Save the model, and return the scores of exactly what was saved."""
    import torch

    model: Any = loaded.model
    save_dtype = recipe.training.save_dtype
    if save_dtype is not None:
        model.to(getattr(torch, save_dtype)).to(torch.float32)
    metrics = _known_scores(trainer)
    if trainer.eval_dataset is not None and (metrics is None or save_dtype):
        metrics = trainer.evaluate()
    if save_dtype is not None:
        model.to(getattr(torch, save_dtype))
    for name, value in recipe.generation.model_dump(exclude_none=True).items():
        if model.can_generate():
            setattr(model.generation_config, name, value)
    # Trainer switches the cache off in the configuration, and would save it that way.
    model.config.use_cache = True
    trainer.save_model(str(folder))
    (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle that nobody needs
    scores = metrics or {}
    return {k.removeprefix("eval_"): v for k, v in scores.items() if k.startswith("eval_")}


def _known_scores(trainer: Trainer) -> dict[str, float] | None:
    """Scores of the model as it is now, when the run has measured them already."""
    state = trainer.state
    best = state.best_global_step if trainer.args.load_best_model_at_end else None
    for entry in reversed(state.log_history):
        if "eval_loss" in entry and entry["step"] == (best or state.global_step):
            return entry
    return None


def _result(
    recipe: Recipe,
    trainer: Trainer,
    loaded: LoadedModel,
    metrics: dict[str, float],
    seconds: float,
    notes: list[str],
) -> FinetuneResult:
    state = trainer.state
    arguments: TrainingArguments = trainer.args
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    return FinetuneResult(
        task=recipe.task.name,
        model=loaded.source.name,
        revision=loaded.source.revision,
        output_dir=str(recipe.output_dir),
        steps=state.global_step,
        epochs=float(state.epoch or 0),
        train_rows=len(trainer.train_dataset),  # type: ignore[arg-type]
        train_loss=losses[-1] if losses else None,
        metrics=metrics,
        tokens_seen=int(state.num_input_tokens_seen),
        seconds=seconds,
        seed=recipe.seed,
        device=str(arguments.device),
        bf16=bool(arguments.bf16),
        try_next=list(recipe.task.try_next),
        notes=notes,
    )
