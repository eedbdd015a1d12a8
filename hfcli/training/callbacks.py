"""What Trainer's hooks feed: the listener, metrics.jsonl, samples, and the stop on a signal.

Made in a factory, because a callback must subclass a transformers class. Prints nothing.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli import files
from hfcli.faults import environment_errors
from hfcli.recipe.training import TrainingSection
from hfcli.results import Evaluated, Listener, StepDone, TrainingStarted
from hfcli.training.interrupts import Interrupts

if TYPE_CHECKING:
    from transformers import TrainerCallback

METRICS_FILE = "metrics.jsonl"


def make_callback(
    *,
    listener: Listener,
    output_dir: Path,
    train_rows: int,
    on_evaluated: Callable[[int], None] | None = None,
) -> TrainerCallback:
    """A TrainerCallback that reports steps and evaluations.

    Args:
        listener: gets TrainingStarted, StepDone and Evaluated, on the main process only.
        output_dir: where metrics.jsonl is written, one JSON object a line.
        train_rows: rows in the training set after preparation.
        on_evaluated: called with the step after every evaluation.
    """
    from transformers import TrainerCallback

    log = StepLog(output_dir / METRICS_FILE)

    class Reporter(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.started, self.tokens_before = time.perf_counter(), state.num_input_tokens_seen
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
            seconds = time.perf_counter() - self.started
            tokens = int(state.num_input_tokens_seen) - int(self.tokens_before)
            return tokens / seconds if seconds > 0 else 0.0

    return Reporter()


def make_stopper(interrupts: Interrupts) -> TrainerCallback:
    """A TrainerCallback that ends the run after the step in which a signal arrived.

    The step is saved first; nothing is logged for it, so that a resumed run logs as an
    uninterrupted one.
    """
    from transformers import TrainerCallback

    class Stopper(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if interrupts.received is not None:
                control.should_save = control.should_training_stop = True

    return Stopper()


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
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except json.JSONDecodeError:
                break  # the last line of a killed run may be half written
        files.write_text(self.path, "".join(f"{line}\n" for line in kept))
