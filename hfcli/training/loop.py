"""One training loop, from a whole checkpoint or the start, that makes room when memory runs out.

When a step does not fit, the rows of a batch are divided and accumulation makes up for it: rows
an optimizer step, and so the result, stay the same. Knows nothing about recipes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.compat.transformers import write_checkpoint
from hfcli.device import out_of_memory
from hfcli.errors import RunError
from hfcli.results import Listener, Note
from hfcli.runfolder.names import TRAINER_STATE_FILE
from hfcli.training import checkpoints
from hfcli.training.interrupts import Paused, StepState

if TYPE_CHECKING:
    from hfcli.training.trainer import HfcliTrainer


@dataclass(frozen=True)
class Split:
    """How the rows of an optimizer step are divided: `rows` at a time, `times` times."""

    rows: int
    times: int

    def smaller(self) -> Split | None:
        """At most half the rows at a time, as many an optimizer step; None when it is one row."""
        if self.rows == 1:
            return None
        total = self.rows * self.times
        rows = max(d for d in range(1, self.rows // 2 + 1) if total % d == 0)
        return Split(rows, total // rows)


def train(
    *,
    make: Callable[[Split, StepState, Path | None], HfcliTrainer],
    split: Split,
    folder: Path,
    resume: bool,
    listener: Listener,
) -> HfcliTrainer:
    """Train to the end, or until a callback stops it.

    Args:
        make: a trainer for a division of the steps, what a StepWatcher is to keep, and the
            checkpoint that it goes on from.
        split: the division to begin with.
        folder: where checkpoints are.
        resume: go on from the last whole checkpoint.
        listener: gets notes.

    Raises:
        RunError: out of memory with a single row, or in a way that cannot be undone.
    """
    checkpoint = checkpoints.last_checkpoint(folder) if resume else None
    if resume:
        where = f"from {checkpoint}" if checkpoint else "from the start: no whole checkpoint yet"
        listener(Note(f"resuming {where}"))
    while True:
        step = StepState()
        trainer = make(split, step, checkpoint)
        if checkpoint is not None and _has_ended(trainer, checkpoint):
            return trainer
        try:
            with ExitStack() as stack:
                stack.push(trainer.explain)
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            best = trainer.state.best_model_checkpoint
            if best is not None and trainer.args.save_total_limit == 1:
                checkpoints.keep_best_only(folder, Path(best))
            return trainer
        except Paused:
            trainer.callback_handler.on_train_end(trainer.args, trainer.state, trainer.control)
            return trainer
        except (RuntimeError, MemoryError) as e:
            if not out_of_memory(e):
                raise
            checkpoint = _rescue(trainer, step, folder, e)
            smaller = split.smaller()
            if smaller is None:
                raise _no_room() from e
            split = smaller
            listener(
                Note(
                    f"out of memory at step {trainer.state.global_step + 1}: going on with"
                    f" per_device_train_batch_size {split.rows} and gradient_accumulation_steps"
                    f" {split.times}, which gives the same result"
                )
            )


def _rescue(trainer: HfcliTrainer, step: StepState, folder: Path, error: BaseException) -> Path:
    """Save the state before the step that failed; the checkpoint to go on from."""
    import torch

    if trainer.accelerator.num_processes > 1:
        raise _no_room() from error
    model: Any = trainer.model
    model.zero_grad(set_to_none=True)
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    last = checkpoints.last_checkpoint(folder)
    done = trainer.state.global_step
    if last is not None and last.name == f"checkpoint-{done}":
        return last
    if not step.touched and step.random is not None:
        torch.set_rng_state(step.random)
        with ExitStack() as stack:
            stack.push(trainer.explain)
            if write_checkpoint(trainer):
                trainer.put_in_place(planned=False)
                return folder / f"checkpoint-{done}"
    if last is None:
        raise _no_room() from error
    return last


def _has_ended(trainer: HfcliTrainer, checkpoint: Path) -> bool:
    """Whether the run had ended at this checkpoint, and only had to be saved; then it is loaded.

    transformers would take one more step where `max_steps` ends a run within an epoch.
    """
    path = checkpoint / TRAINER_STATE_FILE
    told = json.loads(path.read_text(encoding="utf-8"))
    if not 0 < trainer.args.max_steps <= told["global_step"] and not _stopped_early(told):
        return False
    trainer.restore(checkpoint)
    return True


def _stopped_early(told: Mapping[str, Any]) -> bool:
    stopper = told["stateful_callbacks"].get("EarlyStoppingCallback")
    if not stopper:
        return False
    patience = int(stopper["args"]["early_stopping_patience"])
    return int(stopper["attributes"]["early_stopping_patience_counter"]) >= patience


def _no_room() -> RunError:
    return RunError(
        "out of memory",
        hint="a smaller task.block_size or task.max_length, model.lora, or a smaller model",
    )
