"""What Trainer's hooks feed: the listener, metrics.jsonl, samples, and the stop on a signal.

Made in a factory, because a callback must subclass a transformers class. Prints nothing.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli import files
from hfcli.errors import RunError
from hfcli.faults import environment_errors
from hfcli.recipe.training import TrainingSection
from hfcli.results import Evaluated, Listener, StepDone, TrainingStarted
from hfcli.runfolder.names import METRICS_FILE
from hfcli.training.interrupts import Interrupts, Paused

if TYPE_CHECKING:
    from transformers import TrainerCallback


@dataclass
class Clock:
    """Seconds of training, those of earlier parts of the run included.

    Args:
        earlier: seconds up to the checkpoint that the run goes on from.
    """

    earlier: float = 0.0
    started: float | None = None

    def start(self) -> None:
        """Begin to count; again, it changes nothing."""
        if self.started is None:
            self.started = time.perf_counter()

    def seconds(self) -> float:
        """Seconds so far."""
        now = time.perf_counter()
        return self.earlier + now - (now if self.started is None else self.started)


def make_callback(
    *,
    listener: Listener,
    output_dir: Path,
    train_rows: int,
    clock: Clock,
    on_evaluated: Callable[[int], None] | None = None,
) -> TrainerCallback:
    """A TrainerCallback that reports steps and evaluations.

    Args:
        listener: gets TrainingStarted, StepDone and Evaluated, on the main process only.
        output_dir: where metrics.jsonl is written, one JSON object a line.
        train_rows: rows in the training set after preparation.
        clock: time of the run so far.
        on_evaluated: called with the step after every evaluation.
    """
    from transformers import TrainerCallback

    log = StepLog(output_dir / METRICS_FILE)

    class Reporter(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            clock.start()
            model = kwargs["model"]
            parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
            if state.is_world_process_zero:
                log.cut_after(state.global_step)
                listener(
                    TrainingStarted(state.max_steps, state.global_step, train_rows, parameters)
                )

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero and not control.should_log:
                listener(StepDone(state.global_step, state.max_steps, self.speed(state)))

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            logs = kwargs["logs"]
            if "loss" not in logs or not state.is_world_process_zero:
                return
            speed = self.speed(state)
            names = ("loss", "grad_norm", "learning_rate", "epoch")
            log.add(state.global_step, {k: logs[k] for k in names if k in logs}, speed)
            listener(
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
            log.add(state.global_step, {**metrics, "epoch": state.epoch})
            listener(
                Evaluated(
                    state.global_step, {k.removeprefix("eval_"): v for k, v in metrics.items()}
                )
            )
            if on_evaluated is not None:
                on_evaluated(state.global_step)

        def speed(self, state: Any) -> float:
            seconds = clock.seconds()
            return int(state.num_input_tokens_seen) / seconds if seconds > 0 else 0.0

    return Reporter()


def make_stopper(interrupts: Interrupts) -> TrainerCallback:
    """A TrainerCallback that ends the run after the step in which a signal arrived.

    It acts when the next step or epoch begins: what the recipe asks for after a step (logging,
    evaluation, a checkpoint) is done by then, and nothing is done that an uninterrupted run would
    not do. Its `trainer` must be set.
    """
    from transformers import TrainerCallback

    class Stopper(TrainerCallback):
        trainer: Any = None

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step > 0:
                self.stop(state)

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            # An epoch's first batches are drawn by then, which changes the random state.
            if not float(state.epoch or 0).is_integer():
                self.stop(state)

        def stop(self, state: Any) -> None:
            if interrupts.received is None:
                return
            self.trainer.save_unplanned()
            interrupts.paused = True
            raise Paused

    return Stopper()


def make_end_of_epoch_saver() -> TrainerCallback:
    """A TrainerCallback that puts off a save after an epoch's last step until the epoch has ended.

    The evaluation and the log of the epoch come in between; a run that goes on from the checkpoint
    would never make up for them.
    """
    from transformers import TrainerCallback

    class Saver(TrainerCallback):
        put_off = False

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            last = float(state.epoch).is_integer() or control.should_training_stop
            self.put_off = last and control.should_save
            if self.put_off:
                control.should_save = False

        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_save = control.should_save or self.put_off
            self.put_off = False

    return Saver()


def make_early_stopper(section: TrainingSection) -> list[TrainerCallback]:
    """transformers' EarlyStoppingCallback, where the recipe asks for it."""
    from transformers import EarlyStoppingCallback

    if section.early_stopping_patience is None:
        return []
    return [
        EarlyStoppingCallback(section.early_stopping_patience, section.early_stopping_threshold)
    ]


class StepLog:
    """A file with one JSON object a line, each with its step, in step order."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(
        self, step: int, values: dict[str, Any], tokens_per_second: float | None = None
    ) -> None:
        """Append one line; written at once, so that a killed run keeps what it measured."""
        # JSON has no NaN, which a metric that is not defined for these rows is.
        finite = {
            k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()
        }
        line: dict[str, Any] = {"step": step, **finite}
        if tokens_per_second is not None:
            line["tokens_per_second"] = round(tokens_per_second, 1)
        with environment_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def cut_after(self, step: int) -> None:
        """Drop lines of steps that a resumed run is going to take again."""
        if not self.path.is_file():
            return
        kept = []
        lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        for number, line in enumerate(lines, 1):
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, TypeError, KeyError, RecursionError) as e:
                if any(lines[number:]):
                    hint = "remove the line, and resume again"
                    raise RunError(f"{self.path}:{number}: is damaged", hint=hint) from e
                break  # the last line of a killed run may be half written
        files.write_text(self.path, "".join(f"{line}\n" for line in kept))
