"""transformers' Trainer where hfcli decides otherwise: order, scores, checkpoints, and NaN.

- The order of rows depends on seed and epoch alone (`hfcli.training.order`).
- Evaluation is hfcli's own scoring loop: upstream averages the loss of batches, which depends on
  the batch size, and drops NaN without a word.
- Checkpoints appear whole or not at all (`hfcli.training.checkpoints`).
- A loss or gradient that is not finite stops the run before the weights are touched; weights that
  are not finite are never saved.

Made in a factory, because it must subclass a transformers class.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.errors import RunError
from hfcli.fast.training import prepare_training
from hfcli.faults import environment_errors
from hfcli.foreign import forward_errors
from hfcli.models import adapter
from hfcli.models.load import filler_id
from hfcli.tasks.base import Feature, Task
from hfcli.training import checkpoints
from hfcli.training.callbacks import Clock
from hfcli.training.choices import choices
from hfcli.training.head_loss import HeadLoss, head_loss
from hfcli.training.order import Strategy, make_sampler
from hfcli.training.setup import RunSetup
from hfcli.training.validation import validation_scores

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Trainer, TrainerCallback, TrainingArguments

LOSS_FILE = "loss_window.json"  # in a checkpoint: the losses since the last logging step
ORIGINS = "origins"
TOKENS = "n_tokens"


@dataclass(frozen=True)
class Order:
    """How training rows are ordered: TrainingArguments' strategy, and rows an optimizer step."""

    strategy: Strategy
    rows_per_step: int


def make_trainer(
    *,
    setup: RunSetup,
    arguments: TrainingArguments,
    order: Order,
    callbacks: Sequence[TrainerCallback],
    label_smoothing: float = 0.0,
    chunked: bool = True,
    disabled: Collection[str] = (),
    clock: Clock | None = None,
) -> Trainer:
    """A Trainer over prepared rows, silent but for `callbacks`.

    Args:
        setup: model and rows.
        arguments: of the run.
        order: of the rows.
        callbacks: told what happens.
        label_smoothing: TrainingArguments' label_smoothing_factor.
        chunked: compute the loss of a language model by `hfcli.training.head_loss`.
        disabled: names of speed-ups to leave out; see `hfcli.fast.training`.
        clock: time of the run so far, saved with each checkpoint.
    """
    from transformers import PrinterCallback

    task, tokenizer = setup.task, setup.loaded.tokenizer
    pad_token_id = filler_id(tokenizer)
    labels = {name: setup.train.counts.labels[name] for name in setup.train.labels or ()}
    own = chunked and task.generates and not label_smoothing
    own_loss = head_loss(setup.loaded.model) if own else None
    on_cpu = arguments.device.type == "cpu"
    sped_up = prepare_training(setup.loaded.model, disabled) if on_cpu else []
    trainer: Trainer = _trainer_class(setup, order, own_loss, clock or Clock())(
        model=setup.loaded.model,
        args=arguments,
        data_collator=functools.partial(_collate, task, pad_token_id),
        train_dataset=setup.train.features,
        eval_dataset=setup.validation.features if setup.validation else None,
        processing_class=tokenizer,
        compute_loss_func=task.loss_function(
            labels=labels, n_rows=setup.train.counts.kept, label_smoothing=label_smoothing
        ),
        callbacks=list(callbacks),
    )
    # Trainer's losses are shares of a step; transformers 5.4 lets accelerate divide them once more.
    trainer.accelerator.gradient_accumulation_steps = 1
    trainer.remove_callback(PrinterCallback)  # it prints to stdout
    trainer.choices = [  # type: ignore[attr-defined]
        *choices(arguments, order.strategy, own_loss is not None),
        *sped_up,
    ]
    return trainer


def read_window(checkpoint: Path | None) -> dict[str, Any]:
    """What hfcli saves in a checkpoint beside transformers' state; empty without a checkpoint."""
    path = checkpoint / LOSS_FILE if checkpoint else None
    if path is None or not path.is_file():
        return {}
    window: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return window


def _collate(task: Task, pad_token_id: int, features: list[Feature]) -> dict[str, Any]:
    """The task's batch, where its rows come from, which an error may have to tell, and its size."""
    batch: dict[str, Any] = task.collate(features, pad_token_id)
    tokens = sum(len(feature["input_ids"]) for feature in features)  # without padding
    return {**batch, ORIGINS: [feature["origin"] for feature in features], TOKENS: tokens}


def _of_all_parts(logs: dict[str, float], seconds: float, steps: int) -> dict[str, float]:
    """Upstream's times and rates at the end of a run, of its earlier parts, too.

    Args:
        logs: to be logged.
        seconds: of training, from the first step on.
        steps: optimizer steps in that time.
    """
    runtime, rate = logs.get("train_runtime"), logs.get("train_steps_per_second")
    if runtime is None or not rate or not seconds:
        return logs
    scale = steps / seconds / rate
    rates = ("train_samples_per_second", "train_steps_per_second")
    scaled = {name: round(logs[name] * scale, 3) for name in rates if name in logs}
    return {**logs, **scaled, "train_runtime": round(seconds, 4)}


def _trainer_class(setup: RunSetup, order: Order, own_loss: HeadLoss | None, clock: Clock) -> Any:
    from transformers import Trainer

    class HfcliTrainer(Trainer):
        _saving: Path | None = None
        _planned = True

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.known_scores: dict[int, dict[str, Any]] = {}  # by step, matrices included

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            lengths, seed = setup.train.lengths, self.args.seed
            return make_sampler(lengths, order.strategy, seed, order.rows_per_step)

        def training_step(
            self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
        ) -> Tensor:
            origins = inputs.pop(ORIGINS)
            self.state.num_input_tokens_seen += inputs.pop(TOKENS)
            loss = super().training_step(model, inputs, num_items_in_batch)
            if not math.isfinite(loss.item()):
                raise self._not_finite(f"the loss is {loss.item()}", origins)
            return loss

        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, Any],
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            own = own_loss is not None and not return_outputs and num_items_in_batch is not None
            with forward_errors(setup.loaded.model):
                if own_loss is None or not own or not self._alone():
                    return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
                with self.accelerator.autocast():
                    return own_loss(inputs, num_items_in_batch)

        def _alone(self) -> bool:
            """One process, one device: nothing is scaled or sharded."""
            sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
            return self.accelerator.num_processes == 1 and self.args.n_gpu <= 1 and not sharded

        def _clip_grad_norm(self, model: Any) -> Any:
            norm: Any = super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]
            # A gradient scaler (fp16 on a GPU) meets infinite gradients and deals with them.
            if self.accelerator.scaler is None and norm is not None and not math.isfinite(norm):
                raise self._not_finite(f"the norm of the gradients is {float(norm)}", [])
            return norm

        def _not_finite(self, what: str, origins: list[str], after: int = 1) -> RunError:
            good = checkpoints.last_checkpoint(Path(str(self.args.output_dir)))
            rows = f" (rows: {', '.join(origins)})" if origins else ""
            return RunError(
                f"{what} at step {self.state.global_step + after}{rows}",
                hint="lower training.learning_rate, or set training.bf16 to false; last good"
                f" checkpoint: {good.name if good else 'none'}",
            )

        def check_weights(self) -> None:
            """Raise where a step has made weights that nobody should save.

            Raises:
                RunError: a weight that was trained is NaN or infinite.
            """
            for name, weight in setup.loaded.model.named_parameters():
                if weight.requires_grad and not bool(weight.isfinite().all()):
                    raise self._not_finite(f"{name} has weights that are not finite", [], after=0)

        def evaluate(
            self,
            eval_dataset: Any = None,
            ignore_keys: list[str] | None = None,
            metric_key_prefix: str = "eval",
        ) -> dict[str, float]:
            scores = validation_scores(setup, self.args.per_device_eval_batch_size)
            metrics = {
                f"{metric_key_prefix}_{name}": value
                for name, value in scores.items()
                if not isinstance(value, list)  # a matrix is for the report, not for a curve
            }
            self.known_scores[self.state.global_step] = scores
            if not math.isfinite(metrics[f"{metric_key_prefix}_loss"]):
                raise self._not_finite("the validation loss is not finite", [])
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(
                self.args, self.state, self.control, metrics
            )
            return metrics

        def _get_output_dir(self, trial: Any) -> str:
            folder = super()._get_output_dir(trial)
            return str(Path(folder) / checkpoints.SAVING) if self._saving else folder

        def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
            folder = output_dir or str(self.args.output_dir)
            model: Any = self.model
            if not hasattr(model, "peft_config"):
                super().save_model(folder, _internal_call)
                return
            adapter.save(model, Path(folder))
            setup.loaded.tokenizer.save_pretrained(folder)

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            folder = Path(super()._get_output_dir(trial))
            final = folder / f"checkpoint-{self.state.global_step}"
            written = folder / checkpoints.SAVING / final.name
            best = folder / f"checkpoint-{self.state.best_global_step}"
            planned = self._planned or checkpoints.is_planned(final)
            self.check_weights()
            if not folder.is_dir():  # transformers would make a new one, without the run's record
                raise RunError(f"{folder}: the output folder was removed during the run")
            self._saving = written
            try:
                with environment_errors(final):
                    super()._save_checkpoint(model, trial)
            finally:
                self._saving = None
            if self.args.should_save:
                is_there = planned if best == final else checkpoints.is_planned(best)
                if self.state.best_global_step and is_there:
                    self.state.best_model_checkpoint = str(best)
                self.state.save_to_json(str(written / "trainer_state.json"))
                window = {
                    "loss": self._tr_loss.item(),
                    "since": self._globalstep_last_logged,
                    "seconds": clock.seconds(),
                }
                if not planned:
                    (written / checkpoints.UNPLANNED).touch()
                (written / LOSS_FILE).write_text(json.dumps(window), encoding="utf-8")
                (written / "training_args.bin").unlink(
                    missing_ok=True
                )  # a pickle that nobody reads
                checkpoints.put_in_place(written, final)
                written.parent.rmdir()
                checkpoints.delete_unplanned(folder, but=final)
                if planned:
                    kept = self.state.best_model_checkpoint
                    limit = self.args.save_total_limit
                    checkpoints.rotate(folder, limit, Path(kept) if kept else None)
            self.accelerator.wait_for_everyone()

        def save_unplanned(self) -> None:
            """Save the step as it is, for a run that cannot go on in this process or this way.

            Never the best checkpoint by this, and no reason to delete a planned one. Nothing is
            written where a checkpoint holds this state already.
            """
            folder = Path(super()._get_output_dir(None))
            if self._is_saved(folder / f"checkpoint-{self.state.global_step}"):
                return
            self._planned = False
            try:
                self._save_checkpoint(self.model, None)
            finally:
                self._planned = True

        def _is_saved(self, checkpoint: Path) -> bool:
            """Whether nothing was logged since the checkpoint was written."""
            if not checkpoints.is_whole(checkpoint):
                return False
            told = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
            return told["log_history"] == self.state.log_history  # type: ignore[no-any-return]

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            logs = _of_all_parts(logs, clock.seconds(), self.state.global_step)
            tokens = self.state.num_input_tokens_seen
            super().log({**logs, "num_input_tokens_seen": tokens}, start_time)

        def restore_loss_window(self, checkpoint: Path | None) -> None:
            """Go on with the losses since the last logging step, so that the log is the same."""
            window = read_window(checkpoint)
            if window:
                self._tr_loss += window["loss"]
                self._globalstep_last_logged = window["since"]

    return HfcliTrainer
