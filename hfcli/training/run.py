"""A recipe -> a trained model in its output folder.

The order is: check folder and arguments, read the data, load or build the model, encode rows,
claim the folder and write down what the run depends on, train, save, write the result last. Knows
nothing about terminals.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli import files, runfolder
from hfcli.device import resolve_device
from hfcli.errors import DataError, Interrupted, RecipeError, RunError
from hfcli.models.load import LoadedModel, silence
from hfcli.process import check_single_process
from hfcli.recipe.load import dump_recipe
from hfcli.recipe.schema import Recipe
from hfcli.recipe.trackers import check_report_to, tracker_environment, tracker_names
from hfcli.results import Choice, FinetuneResult, Listener, Note, SampleWritten
from hfcli.runfolder.kinds import RUN
from hfcli.runfolder.names import RECIPE_FILE, RESULT_FILE, RUN_FILE, SAMPLES_FILE
from hfcli.training import checkpoints, record
from hfcli.training.arguments import arguments_for, check_length, training_arguments
from hfcli.training.batch_size import settle_batch_size
from hfcli.training.finish import best_step, describe_result, save_model
from hfcli.training.interrupts import Interrupts, StepState, held_back
from hfcli.training.loop import Split, train
from hfcli.training.progress import Clock, StepLog
from hfcli.training.rehearsal import rehearse
from hfcli.training.setup import RunSetup, set_up

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from hfcli.training.trainer import HfcliTrainer

WriteSamples = Callable[[LoadedModel, Sequence[str]], list[str]]


@dataclass(frozen=True)
class RunOptions:
    """How a run is started, beside its recipe.

    Args:
        resume: go on from the last whole checkpoint in the output folder.
        overwrite: delete an earlier run in the output folder.
        offline: open no socket.
        command: as it was typed, for the record.
        variables: of the environment, that gave flags of the command, for the record.
        resume_command: what goes on after an interruption.
        reproduce: the record of a run whose data must be the same.
        write_samples: continues the recipe's sample prompts.
        reads: files that the command reads beside those that the recipe names.
        write_report: writes what is read by people into the folder of a finished run.
        more_follow: other runs come after this one, so that a signal in its last step counts too.
    """

    resume: bool = False
    overwrite: bool = False
    offline: bool = False
    command: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    resume_command: str = "the same command with --resume"
    reproduce: dict[str, Any] | None = None
    write_samples: WriteSamples | None = None
    reads: tuple[Path, ...] = ()
    write_report: Callable[[FinetuneResult], None] = lambda _result: None
    more_follow: bool = False


def finetune(*, recipe: Recipe, listener: Listener, options: RunOptions) -> FinetuneResult:
    """Train as the recipe says and save the model, the resolved recipe and the result.

    Args:
        recipe: validated, with `output_dir` and `data.train` set.
        listener: gets events while the run goes.
        options: how it is started.

    Raises:
        DataError, ModelError, RunError, RecipeError: see `hfcli.errors`.
        Interrupted: by a signal, after the step was saved.
    """
    check_single_process()
    folder = _output_dir(recipe)
    trackers = tracker_names(recipe.training.extra.get("report_to"))
    check_report_to(trackers)
    with runfolder.hold(folder):
        return _finetune(recipe, folder, trackers, listener, options)


def _finetune(
    recipe: Recipe,
    folder: Path,
    trackers: Sequence[str],
    listener: Listener,
    options: RunOptions,
) -> FinetuneResult:
    """`finetune`, while no other process writes into the folder."""
    before = _earlier(folder, options.resume)
    _check_folder(folder, recipe, options)
    silence()  # Trainer's imports talk too
    placement = resolve_device(recipe.device)
    arguments = training_arguments(recipe=recipe, device=placement.device)  # refuses early
    setup = set_up(recipe=recipe, placement=placement, offline=options.offline)
    check_length(recipe, len(setup.train.lengths))
    recipe = settle_batch_size(
        recipe=recipe, setup=setup, arguments=arguments, listener=listener, before=before
    )
    told = record.describe_run(
        recipe=recipe,
        loaded=setup.loaded,
        weights_sha256=setup.fingerprint() if setup.fingerprint else None,
        command=options.command,
        variables=options.variables,
        inputs=setup.inputs,
    )
    rehearsed = rehearse(recipe=recipe, setup=setup, arguments=arguments)
    notes = [*setup.notes, *rehearsed, *_compare(before, told, options)]
    for note in notes:
        listener(Note(note))
    _check_folder(folder, recipe, options)  # what has come in since counts, too
    checkpoints.clean(folder)
    if before is None:
        mark = json.dumps(told, indent=2) + "\n"
        runfolder.replace(folder, RUN, mark, first=[RESULT_FILE])
    files.write_text(folder / RECIPE_FILE, dump_recipe(recipe))
    clock = _clock(folder, options.resume)
    with _tracked(folder, trackers), held_back() as interrupts:
        trainer = _train(recipe, setup, arguments, folder, listener, options, interrupts, clock)
    seconds = clock.seconds()
    if interrupts.received is not None and interrupts.paused:
        saved = f"step {trainer.state.global_step} is saved"
        raise _interrupted(saved, interrupts.received, options)
    notes += _best(trainer, listener)
    scores = save_model(trainer, setup, recipe, folder)
    result = describe_result(recipe, trainer, setup, scores, seconds, notes)
    files.write_text(folder / RESULT_FILE, json.dumps(result.to_dict(), indent=2) + "\n")
    checkpoints.delete_unplanned(folder)
    options.write_report(result)
    if interrupts.received is not None and options.more_follow:
        raise _interrupted("this run is finished", interrupts.received, options)
    return result


def _clock(folder: Path, resume: bool) -> Clock:
    """The time of the run so far: that of its last checkpoint where it goes on from one."""
    checkpoint = checkpoints.last_checkpoint(folder) if resume else None
    return Clock(float(checkpoints.read_window(checkpoint).get("seconds", 0)))


def _interrupted(state: str, number: int, options: RunOptions) -> Interrupted:
    hint = f"to go on: {options.resume_command}"
    return Interrupted(f"interrupted; {state}", signal=number, hint=hint)


@contextmanager
def _tracked(folder: Path, trackers: Sequence[str]) -> Iterator[None]:
    """Trackers write into this run's folder; the next run of a sweep is another one to them."""
    variables = tracker_environment(folder, trackers)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        if "wandb" in trackers:
            import wandb

            # transformers leaves the run open, and would log the next one into it.
            wandb.finish()


def _output_dir(recipe: Recipe) -> Path:
    if recipe.output_dir is None:
        raise RecipeError("the recipe names no output_dir", hint="-o FOLDER sets it")
    if not recipe.data.train:
        raise RecipeError("finetune needs data.train")
    return recipe.output_dir


def _earlier(folder: Path, resume: bool) -> dict[str, Any] | None:
    """The record of the run that is to go on."""
    # A process can be killed while it writes its first file, which is then under another name.
    if not resume or not folder.is_dir() or runfolder.is_blank(folder):
        return None
    found = record.read_record(folder)
    if found is None:
        raise RunError(f"{folder}: holds no run that could be resumed (no {RUN_FILE})")
    if "labels" not in found:
        checkpoint = checkpoints.last_checkpoint(folder)
        found["labels"] = record.labels_of_checkpoint(checkpoint)
    return found


def _check_folder(folder: Path, recipe: Recipe, options: RunOptions) -> None:
    runfolder.check(
        folder,
        RUN,
        resume=options.resume,
        overwrite=options.overwrite,
        reads=[*record.files_read(recipe), *options.reads],
    )


def _compare(before: dict[str, Any] | None, told: dict[str, Any], options: RunOptions) -> list[str]:
    notes = record.check_unchanged(before, told) if before is not None else []
    if options.reproduce is None:
        return notes
    expected = options.reproduce
    if [sorted(split.values()) for split in expected["data"].values()] != [
        sorted(split.values()) for split in told["data"].values()
    ]:
        raise DataError("the data files are not those of the run that is to be reproduced")
    if expected["model"]["sha256"] != told["model"]["sha256"]:
        raise DataError("the model is not that of the run that is to be reproduced")
    for part in ("versions", "hardware"):
        for name, value in told[part].items():
            if expected[part].get(name) != value:
                notes.append(f"{name} was {expected[part].get(name)}, is {value}")
    return notes


def _train(
    recipe: Recipe,
    setup: RunSetup,
    arguments: TrainingArguments,
    folder: Path,
    listener: Listener,
    options: RunOptions,
    interrupts: Interrupts,
    clock: Clock,
) -> HfcliTrainer:
    from hfcli.training import callbacks
    from hfcli.training.trainer import make_trainer

    section = recipe.training

    def sample(step: int) -> None:
        if options.write_samples is not None and section.sample_prompts:
            texts = options.write_samples(setup.loaded, section.sample_prompts)
            for prompt, text in zip(section.sample_prompts, texts, strict=True):
                StepLog(folder / SAMPLES_FILE).add(step, {"prompt": prompt, "text": text})
                listener(SampleWritten(step, prompt, text))

    def make(split: Split, step: StepState, checkpoint: Path | None) -> HfcliTrainer:
        reporter = callbacks.Reporter(
            listener=listener,
            output_dir=folder,
            train_rows=len(setup.train.lengths),
            clock=clock,
            on_evaluated=sample,
        )
        trainer = make_trainer(
            recipe=recipe,
            setup=setup,
            arguments=arguments_for(
                arguments,
                folder=folder / checkpoints.SAVING,
                split=(split.rows, split.times),
                evaluate=setup.validation is not None,
            ),
            # The watcher comes first: it restores what the reporter is going to tell.
            callbacks=[
                callbacks.StepWatcher(step, checkpoint),
                reporter,
                *callbacks.early_stopping(section),
                callbacks.CheckpointCallback(interrupts),
            ],
            clock=clock,
        )
        for decision in trainer.decisions:
            listener(Choice(decision))
        return trainer

    split = Split(*section.split)
    return train(make=make, split=split, folder=folder, resume=options.resume, listener=listener)


def _best(trainer: HfcliTrainer, listener: Listener) -> list[str]:
    notes = []
    state, arguments = trainer.state, trainer.args
    if state.global_step < state.max_steps:
        notes.append(f"stopped early at step {state.global_step} of {state.max_steps}")
    best = best_step(trainer)
    if best is not None:
        name = str(arguments.metric_for_best_model).removeprefix("eval_")
        notes.append(f"the model is that of step {best}, the best by {name}")
    for note in notes:
        listener(Note(note))
    return notes
