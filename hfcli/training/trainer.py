"""transformers' Trainer with one method replaced: evaluation is hfcli's own scoring loop.

Upstream averages the loss of batches, which depends on the batch size, and drops NaN without a
word. Made in a factory, because it must subclass a transformers class.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hfcli.metrics import shipped_metrics
from hfcli.models.load import LoadedModel
from hfcli.tasks.base import Prepared, Task
from hfcli.tasks.scoring import score

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments


def make_trainer(
    *,
    task: Task,
    loaded: LoadedModel,
    arguments: TrainingArguments,
    train: Prepared,
    validation: Prepared | None,
    callback: TrainerCallback,
) -> Trainer:
    """A Trainer over prepared rows, silent but for `callback`."""
    from transformers import PrinterCallback, Trainer

    pad_token_id = int(loaded.tokenizer.pad_token_id)

    class ScoringTrainer(Trainer):
        def evaluate(
            self,
            eval_dataset: Any = None,
            ignore_keys: list[str] | None = None,
            metric_key_prefix: str = "eval",
        ) -> dict[str, float]:
            assert validation is not None, "evaluation is off without a validation split"
            with _own_forward(loaded.model):
                scores = score(
                    task=task,
                    model=loaded.model,
                    prepared=validation,
                    batch_size=self.args.per_device_eval_batch_size,
                    pad_token_id=pad_token_id,
                )
            metrics = {f"{metric_key_prefix}_loss": scores.loss}
            for name in task.default_metrics:
                metric = shipped_metrics()[name]
                if metric.higher_is_better is None:
                    continue  # a matrix is for the report, not for a learning curve
                inputs = {key: scores.inputs[key] for key in metric.inputs}
                metrics[f"{metric_key_prefix}_{name}"] = metric.compute(**inputs)
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(
                self.args, self.state, self.control, metrics
            )
            return metrics

    trainer = ScoringTrainer(
        model=loaded.model,
        args=arguments,
        data_collator=functools.partial(task.collate, pad_token_id=pad_token_id),
        train_dataset=train.features,
        eval_dataset=validation.features if validation else None,
        processing_class=loaded.tokenizer,
        compute_loss_func=task.loss_function(),
        callbacks=[callback],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout
    return trainer


@contextmanager
def _own_forward(model: PreTrainedModel) -> Iterator[None]:
    """The model without the autocast that accelerate wraps around its `forward` for training.

    Scores are those of the saved weights in float32, as `hfcli eval` will compute them.
    """
    wrapped = model.__dict__.get("forward")
    if wrapped is not None:
        del model.forward
    try:
        yield
    finally:
        if wrapped is not None:
            model.forward = wrapped
