"""A recipe -> what its run would be, without training: `--dry-run`.

Everything is resolved and loaded, rows are encoded, and one batch is passed through the model and
back to see how long it takes; the weights stay as they are. Knows nothing about terminals.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hfcli.device import resolve_device
from hfcli.errors import RecipeError
from hfcli.models.load import silence
from hfcli.process import check_single_process
from hfcli.recipe.schema import Recipe
from hfcli.recipe.trackers import check_report_to, tracker_names
from hfcli.results import Choice, Example, Listener, Note, PlanResult
from hfcli.training.arguments import check_length, training_arguments
from hfcli.training.batch_size import settle_batch_size
from hfcli.training.rehearsal import rehearse
from hfcli.training.setup import RunSetup, set_up

if TYPE_CHECKING:
    from hfcli.training.trainer import HfcliTrainer

EXAMPLES = 3
EXAMPLE_PARTS = 400  # characters of an example that are shown
BACKWARD = 3.0  # forward and backward cost about three forwards (Kaplan et al. 2020, section 2.1)


def plan(*, recipe: Recipe, listener: Listener, offline: bool = False) -> PlanResult:
    """What `finetune` would do.

    Args:
        recipe: validated.
        listener: gets notes.
        offline: open no socket.

    Raises:
        DataError, ModelError, RunError, RecipeError: as `finetune` would.
    """
    check_single_process()
    if not recipe.data.train:
        raise RecipeError("finetune needs data.train")
    check_report_to(tracker_names(recipe.training.extra.get("report_to")))
    silence()  # Trainer's imports talk too
    from hfcli.training.trial import trial_trainer

    placement = resolve_device(recipe.device)
    arguments = training_arguments(recipe=recipe, device=placement.device)  # refuses early
    setup = set_up(recipe=recipe, placement=placement, offline=offline)
    recipe = settle_batch_size(recipe=recipe, setup=setup, arguments=arguments, listener=listener)
    notes = [*setup.notes, *rehearse(recipe=recipe, setup=setup, arguments=arguments)]
    for note in notes:
        listener(Note(note))
    with trial_trainer(recipe, setup, arguments) as trainer:
        for decision in trainer.decisions:
            listener(Choice(decision))
        return _try(recipe, trainer, notes)


def _try(recipe: Recipe, trainer: HfcliTrainer, notes: list[str]) -> PlanResult:
    """What is seen by passing a batch through the model."""
    from hfcli.training.trial import Trial, first_batches, peak_memory

    setup, order, section = trainer.setup, trainer.order, recipe.training
    steps = check_length(recipe, len(setup.train.lengths))
    rows, _times = section.split
    batches = first_batches(setup, order, recipe.seed, rows)
    lengths = [max(setup.train.lengths[i] for i in batch) for batch in batches]
    padded = sum(length * len(batch) for length, batch in zip(lengths, batches, strict=True))
    epochs = section.num_train_epochs
    if section.max_steps > 0:
        epochs = steps * order.rows_per_step / len(setup.train.lengths)
    parameters = list(setup.loaded.model.parameters())
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    trial = Trial(trainer)
    memory = peak_memory(
        work=lambda: trial.largest(batches, recipe.training.per_device_eval_batch_size),
        device=trainer.args.device,
        trained_parameters=trained,
    )
    seconds = trial.seconds_per_token(batches) * padded * epochs
    seconds += _evaluation_seconds(recipe, setup, seconds / max(1, padded * epochs), steps)
    return PlanResult(
        task=recipe.task.name,
        model=setup.loaded.source.name,
        revision=setup.loaded.source.revision,
        device=str(trainer.args.device),
        bf16=bool(trainer.args.bf16),
        steps=steps,
        epochs=epochs,
        rows_per_step=order.rows_per_step,
        train_rows=len(setup.train.lengths),
        tokens_per_epoch=sum(setup.train.lengths),
        padding_share=1 - sum(setup.train.lengths) / padded,
        longest_batch=(rows, max(lengths)),
        data={
            name: split.counts.to_dict()
            for name, split in (("train", setup.train), ("validation", setup.validation))
            if split is not None
        },
        parameters=sum(p.numel() for p in parameters),
        trained_parameters=trained,
        seconds=seconds,
        peak_memory=memory,
        cached=setup.cached,
        examples=_examples(setup),
        notes=notes,
    )


def _evaluation_seconds(recipe: Recipe, setup: RunSetup, per_token: float, steps: int) -> float:
    if setup.validation is None:
        return 0.0
    section = recipe.training
    per_epoch = math.ceil(len(setup.train.lengths) / section.rows_per_step)
    every = {"no": steps, "steps": section.eval_steps or steps, "epoch": per_epoch}
    evaluations = max(1, steps // every[section.eval_strategy])
    return evaluations * sum(setup.validation.lengths) * per_token / BACKWARD


def _examples(setup: RunSetup) -> list[Example]:
    found = []
    for i in range(min(EXAMPLES, len(setup.train.features))):
        feature = setup.train.features[i]
        parts, left = [], EXAMPLE_PARTS
        for text, learned in setup.task.show(feature, setup.loaded.tokenizer):
            shown = text if len(text) <= left else f"{text[:left]}…"
            parts.append((shown, learned))
            left -= len(shown)
            if left <= 0:
                break
        found.append(Example(str(feature["origin"]), parts))
    return found
