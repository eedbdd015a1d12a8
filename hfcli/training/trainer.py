"""transformers' Trainer where hfcli decides otherwise, and the one place that assembles it."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from hfcli.compat.accelerate import Clip, keep_losses_whole, replace_clipping
from hfcli.errors import RunError
from hfcli.fast.training import prepare_training
from hfcli.faults import environment_errors
from hfcli.foreign import forward_errors
from hfcli.models import adapter
from hfcli.models.load import filler_id
from hfcli.recipe.schema import Recipe
from hfcli.runfolder.names import TRAINER_STATE_FILE
from hfcli.tasks.base import Feature, Task
from hfcli.training import checkpoints
from hfcli.training.arguments import decisions
from hfcli.training.callbacks import RunCallback
from hfcli.training.head_loss import HeadLoss, head_loss
from hfcli.training.order import EpochSampler, Order, order_of
from hfcli.training.progress import Clock, of_all_parts
from hfcli.training.setup import RunSetup
from hfcli.training.validation import validation_scores

ORIGINS = "origins"
TOKENS = "n_tokens"


class HfcliTrainer(Trainer):
    """Trainer for one run, by Trainer's public methods only.

    - The order of rows depends on seed and epoch alone (`hfcli.training.order`).
    - Evaluation is hfcli's own scoring loop: upstream averages the loss of batches, which depends
      on the batch size, and drops NaN without a word.
    - Checkpoints appear whole or not at all (`hfcli.training.checkpoints`): `args.output_dir` is a
      folder inside of the run's, out of which `put_in_place` moves them.
    - A loss or gradient that is not finite stops the run before the weights are touched; weights
      that are not finite are never saved.

    Attributes:
        saving: the checkpoint that is being written, under its final name.
        known_scores: by step, matrices included.
        decisions: what was chosen for this machine, in sentences.
    """

    def __init__(
        self,
        *,
        setup: RunSetup,
        order: Order,
        own_loss: HeadLoss | None,
        clock: Clock,
        **options: Any,
    ) -> None:
        self.setup, self.order, self.own_loss = setup, order, own_loss
        self.clock = clock
        self.saving: Path | None = None
        self.last_best: str | None = None
        self.known_scores: dict[int, dict[str, Any]] = {}
        self.decisions: list[str] = []
        self.gradients_are_checked = False
        self.losses, self.since = torch.zeros(()), 0
        super().__init__(**options)
        self.folder = Path(str(self.args.output_dir)).parent
        self.begin_window(None)
        keep_losses_whole(self.accelerator)
        replace_clipping(self.accelerator, self.make_clipping)
        self.remove_callback(PrinterCallback)  # it prints to stdout

    def get_train_dataloader(self) -> Any:
        args = self.args
        loader: Any = DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_size=args.train_batch_size,
            sampler=EpochSampler(self.setup.train.lengths, self.order, args.seed),
            collate_fn=self.data_collator,
            drop_last=args.dataloader_drop_last,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
        )
        return self.accelerator.prepare(loader)

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        origins = inputs.pop(ORIGINS)
        self.state.num_input_tokens_seen += inputs.pop(TOKENS)
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not math.isfinite(loss.item()):
            raise self.not_finite(f"the loss is {loss.item()}", origins)
        self.losses += loss
        return loss

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        with forward_errors(self.setup.loaded.model):
            whole = return_outputs or num_items_in_batch is None
            if self.own_loss is None or whole or not self.is_alone():
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            with self.accelerator.autocast():
                return self.own_loss(inputs, num_items_in_batch)

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        scores = validation_scores(self.setup, self.args.per_device_eval_batch_size)
        metrics = {
            f"{metric_key_prefix}_{name}": value
            for name, value in scores.items()
            if not isinstance(value, list)  # a matrix is for the report, not for a curve
        }
        self.known_scores[self.state.global_step] = scores
        if not math.isfinite(metrics[f"{metric_key_prefix}_loss"]):
            raise self.not_finite("the validation loss is not finite")
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        if folder.parent == Path(str(self.args.output_dir)):
            self.saving, self.last_best = (
                self.folder / folder.name,
                self.state.best_model_checkpoint,
            )
            self.check_weights()
            if not self.folder.is_dir():  # Trainer would make a new one, without the run's record
                raise RunError(f"{self.folder}: the output folder was removed during the run")
        if hasattr(self.model, "get_base_model"):  # an adapter
            adapter.save(self.model, folder)
            self.setup.loaded.tokenizer.save_pretrained(folder)
        else:
            super().save_model(str(folder), _internal_call)
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle that nobody reads

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        step = self.state.global_step
        if "loss" in logs:  # Trainer's own counts from where the run goes on
            logs = {**logs, "loss": self.losses.item() / (step - self.since)}
            self.losses, self.since = torch.zeros_like(self.losses), step
        logs = of_all_parts(logs, self.clock.seconds(), step)
        tokens = self.state.num_input_tokens_seen
        super().log({**logs, "num_input_tokens_seen": tokens}, start_time)

    # What is hfcli's own

    def begin_window(self, checkpoint: Path | None) -> None:
        """Begin with the losses since the last logging step, so that the log goes on the same."""
        window = checkpoints.read_window(checkpoint)
        self.losses = torch.tensor(window.get("loss", 0.0), device=self.args.device)
        self.since = window.get("since", self.state.global_step)

    def put_in_place(self, *, planned: bool = True) -> None:
        """Complete the checkpoint that was written last, and give it its name.

        Args:
            planned: whether the recipe asks for it. One that it does not ask for is never the best
                checkpoint, and no reason to delete another.
        """
        final, written = self.saving, Path(str(self.args.output_dir))
        assert final is not None, "nothing was written"
        written /= final.name
        best = self.folder / f"checkpoint-{self.state.best_global_step}"
        planned = planned or checkpoints.is_planned(final)
        is_there = planned if best == final else checkpoints.is_planned(best)
        is_best = bool(self.state.best_global_step) and is_there
        self.state.best_model_checkpoint = str(best) if is_best else self.last_best
        self.state.save_to_json(str(written / TRAINER_STATE_FILE))
        window = {
            "loss": self.losses.item(), "since": self.since, "seconds": self.clock.seconds(),
        }  # fmt: skip
        checkpoints.complete(written, window, planned=planned)
        checkpoints.put_in_place(written, final)
        written.parent.rmdir()
        checkpoints.delete_unplanned(self.folder, but=final)
        if planned:
            kept = self.state.best_model_checkpoint
            limit = self.args.save_total_limit
            checkpoints.rotate(self.folder, limit, Path(kept) if kept else None)
        self.saving = None

    def restore(self, checkpoint: Path) -> None:
        """Take the state of a run that had ended, with its best weights where it asks for them."""
        self.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_FILE))
        best = self.state.best_model_checkpoint if self.args.load_best_model_at_end else None
        checkpoints.load_weights(self.model, Path(best) if best else checkpoint)

    def check_weights(self) -> None:
        """Raise where a step has made weights that nobody should save.

        Raises:
            RunError: a weight that was trained is NaN or infinite.
        """
        for name, weight in self.setup.loaded.model.named_parameters():
            if weight.requires_grad and not bool(weight.isfinite().all()):
                raise self.not_finite(f"{name} has weights that are not finite", after=0)

    def not_finite(self, what: str, origins: Sequence[str] = (), after: int = 1) -> RunError:
        """Return the error that stops a run.

        Args:
            what: is not finite.
            origins: rows that it comes from.
            after: steps after the last that was taken.
        """
        good = checkpoints.last_checkpoint(self.folder)
        rows = f" (rows: {', '.join(origins)})" if origins else ""
        return RunError(
            f"{what} at step {self.state.global_step + after}{rows}",
            hint="lower training.learning_rate, or set training.bf16 to false; last good"
            f" checkpoint: {good.name if good else 'none'}",
        )

    def make_clipping(self, own: Clip) -> Clip:
        """Return the clipping of this run, by what accelerate does by itself."""

        def clip(parameters: Any, longest: float, *options: Any, **names: Any) -> Any:
            norm: Any = own(parameters, longest, *options, **names)
            self.check_norm(norm)
            return norm

        return clip

    def check_norm(self, norm: Any) -> None:
        """Raise where the norm of all gradients is not finite.

        A gradient scaler (fp16 on a GPU) meets infinite gradients, and deals with them.
        """
        self.gradients_are_checked = True
        if self.accelerator.scaler is None and norm is not None and not math.isfinite(norm):
            raise self.not_finite(f"the norm of the gradients is {float(norm)}")

    def check_gradients(self) -> None:
        """Look at the gradients before a step, unless clipping has seen their norm."""
        if not self.gradients_are_checked:
            parameters = self.setup.loaded.model.parameters()
            gradients = [p.grad for p in parameters if p.grad is not None]
            self.check_norm(torch.nn.utils.get_total_norm(gradients))
        self.gradients_are_checked = False

    def is_alone(self) -> bool:
        """Return whether there is one process and one device: nothing is scaled or sharded."""
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        return self.accelerator.num_processes == 1 and self.args.n_gpu <= 1 and not sharded

    def explain(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        """Say of an error of the disk which checkpoint could not be written: for `ExitStack.push`.

        Raises:
            RunError: an error that the environment caused while a checkpoint was written.
        """
        if self.saving is not None:
            environment_errors(self.saving).__exit__(kind, error, trace)


def make_trainer(
    *,
    recipe: Recipe,
    setup: RunSetup,
    arguments: TrainingArguments,
    callbacks: Sequence[TrainerCallback] = (),
    clock: Clock | None = None,
    optimized: bool = True,
) -> HfcliTrainer:
    """Return a Trainer over prepared rows, silent but for `callbacks`.

    Args:
        recipe: with numbers for the rows of a batch.
        setup: model and rows.
        arguments: from `hfcli.training.arguments.arguments_for`.
        callbacks: told what happens; a CheckpointCallback makes checkpoints whole.
        clock: time of the run so far, saved with each checkpoint.
        optimized: speed up the model; otherwise it stays as it is.
    """
    section, task, loaded = recipe.training, setup.task, setup.loaded
    order = order_of(recipe, setup.train)
    chunked = section.loss_type == "chunked_nll" and task.generates
    own_loss = head_loss(loaded.model) if chunked and not section.label_smoothing_factor else None
    optimized = optimized and arguments.device.type == "cpu"
    sped_up = prepare_training(loaded.model, section.disable_optimizations) if optimized else []
    trainer = HfcliTrainer(
        setup=setup, order=order, own_loss=own_loss, clock=clock or Clock(),
        model=loaded.model,
        args=arguments,
        data_collator=functools.partial(_collate, task, filler_id(loaded.tokenizer)),
        train_dataset=setup.train.features,
        eval_dataset=setup.validation.features if setup.validation else None,
        processing_class=loaded.tokenizer,
        compute_loss_func=task.loss_function(
            labels={name: setup.train.counts.labels[name] for name in setup.train.labels or ()},
            n_rows=setup.train.counts.kept,
            label_smoothing=section.label_smoothing_factor,
        ),
        callbacks=list(callbacks),
    )  # fmt: skip
    with contextlib.suppress(OSError):
        Path(str(arguments.output_dir)).rmdir()  # Trainer makes it at once; checkpoints do, too
    trainer.decisions = [
        *decisions(arguments, order.strategy, own_loss is not None), *sped_up,
    ]  # fmt: skip
    for callback in callbacks:
        if isinstance(callback, RunCallback):
            callback.join(trainer)
    return trainer


def _collate(task: Task, pad_token_id: int, features: list[Feature]) -> dict[str, Any]:
    """The task's batch, where its rows come from, which an error may have to tell, and its size."""
    batch: dict[str, Any] = task.collate(features, pad_token_id)
    tokens = sum(len(feature["input_ids"]) for feature in features)  # without padding
    return {**batch, ORIGINS: [feature["origin"] for feature in features], TOKENS: tokens}
