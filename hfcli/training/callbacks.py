"""What Trainer's events feed: listener, metrics.jsonl, checkpoints, and the stop on a signal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState

from hfcli.recipe.training import TrainingSection
from hfcli.results import Evaluated, Listener, StepDone, TrainingStarted
from hfcli.runfolder.names import METRICS_FILE
from hfcli.training.interrupts import Interrupts, Paused, StepState
from hfcli.training.progress import Clock, StepLog

if TYPE_CHECKING:
    from hfcli.training.trainer import HfcliTrainer


class RunCallback(TrainerCallback):
    """A callback that knows the Trainer of its run; `make_trainer` tells it."""

    trainer: HfcliTrainer

    def join(self, trainer: HfcliTrainer) -> None:
        """Take the Trainer that this callback is called by."""
        self.trainer = trainer


class Reporter(TrainerCallback):
    """Reports steps and evaluations, on the main process only.

    Args:
        listener: gets TrainingStarted, StepDone and Evaluated.
        output_dir: where metrics.jsonl is written, one JSON object a line.
        train_rows: rows in the training set after preparation.
        clock: time of the run so far.
        on_evaluated: called with the step after every evaluation.
    """

    def __init__(
        self,
        *,
        listener: Listener,
        output_dir: Path,
        train_rows: int,
        clock: Clock,
        on_evaluated: Callable[[int], None],
    ) -> None:
        self.listener, self.train_rows, self.clock = listener, train_rows, clock
        self.on_evaluated = on_evaluated
        self.steps = StepLog(output_dir / METRICS_FILE)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.clock.start()
        parameters = sum(p.numel() for p in kwargs["model"].parameters() if p.requires_grad)
        if state.is_world_process_zero:
            self.steps.cut_after(state.global_step)
            self.listener(
                TrainingStarted(state.max_steps, state.global_step, self.train_rows, parameters)
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero and not control.should_log:
            self.listener(StepDone(state.global_step, state.max_steps, self.speed(state)))

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        logs = kwargs["logs"]
        if "loss" not in logs or not state.is_world_process_zero:
            return
        speed = self.speed(state)
        names = ("loss", "grad_norm", "learning_rate", "epoch")
        self.steps.add(state.global_step, {k: logs[k] for k in names if k in logs}, speed)
        self.listener(
            StepDone(
                state.global_step,
                state.max_steps,
                speed,
                loss=logs["loss"],
                learning_rate=logs["learning_rate"],
            )
        )

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        metrics = {k: v for k, v in kwargs["metrics"].items() if k.startswith("eval_")}
        self.steps.add(state.global_step, {**metrics, "epoch": state.epoch})
        shown = {k.removeprefix("eval_"): v for k, v in metrics.items()}
        self.listener(Evaluated(state.global_step, shown))
        self.on_evaluated(state.global_step)

    def speed(self, state: TrainerState) -> float:
        """Return the tokens a second since the run began."""
        seconds = self.clock.seconds()
        return int(state.num_input_tokens_seen) / seconds if seconds > 0 else 0.0


class StepWatcher(RunCallback):
    """Keeps what has to be put back when a step is given up, and looks at its gradients.

    Args:
        step: what is kept.
        checkpoint: that the run goes on from.
    """

    def __init__(self, step: StepState, checkpoint: Path | None) -> None:
        self.step, self.checkpoint = step, checkpoint

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.begin_window(self.checkpoint)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.step.random = torch.get_rng_state()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # The data loader draws a number when an epoch begins, and draws it again when the
        # epoch is begun again: there, what counts is the state before that.
        if not float(state.epoch or 0).is_integer():
            self.step.random = torch.get_rng_state()
        self.step.touched = False

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.check_gradients()
        self.step.touched = True

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.step.touched = False


class CheckpointCallback(RunCallback):
    """Decides when a step is saved, makes its checkpoint whole, and ends a run after a signal.

    After an epoch's last step, saving is put off until the epoch has ended: its evaluation and log
    come in between, and a run that goes on from the checkpoint would never make up for them.

    A signal adds the saving of a step: that in which it arrived, or the next. What the recipe asks
    for after the step (logging, evaluation, a checkpoint) is done before, and nothing else. In the
    last step of a run it changes nothing.

    Args:
        interrupts: signals that have arrived.
    """

    def __init__(self, interrupts: Interrupts) -> None:
        self.interrupts = interrupts
        self.put_off = False
        self.planned = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.planned = control.should_save
        wanted = control.should_save or self.ends(state, control)
        last = float(state.epoch or 0).is_integer() or control.should_training_stop
        self.put_off = last and wanted
        control.should_save = wanted and not last

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.on_evaluate(args, state, control)  # a signal may arrive at any time

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self.put_off and not control.should_save and self.ends(state, control):
            control.should_save, self.planned = True, False

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        planned = control.should_save
        self.planned = planned or (self.put_off and self.planned)
        control.should_save = planned or self.put_off or self.ends(state, control)
        self.put_off = False

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.put_in_place(planned=self.planned)
        self.planned = True
        if self.ends(state, control):
            self.interrupts.paused = True
            raise Paused

    def ends(self, state: TrainerState, control: TrainerControl) -> bool:
        """Return whether a signal ends the run here, which would go on without it."""
        goes_on = state.global_step < state.max_steps and not control.should_training_stop
        return self.interrupts.received is not None and goes_on


def early_stopping(section: TrainingSection) -> list[TrainerCallback]:
    """Return transformers' EarlyStoppingCallback, where the recipe asks for it."""
    if section.early_stopping_patience is None:
        return []
    return [
        EarlyStoppingCallback(section.early_stopping_patience, section.early_stopping_threshold)
    ]
