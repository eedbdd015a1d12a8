"""Scores of a model in training on its validation rows, as `hfcli eval` will compute them.

Knows nothing about Trainer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hfcli.metrics import shipped_metrics
from hfcli.models.load import filler_id
from hfcli.tasks.scoring import score
from hfcli.training.setup import RunSetup

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def validation_scores(setup: RunSetup, batch_size: int) -> dict[str, Any]:
    """Loss and the task's metrics on the validation rows."""
    assert setup.validation is not None, "evaluation is off without a validation split"
    with _own_forward(setup.loaded.model):
        scores = score(
            task=setup.task,
            model=setup.loaded.model,
            prepared=setup.validation,
            batch_size=batch_size,
            pad_token_id=filler_id(setup.loaded.tokenizer),
        )
    metrics: dict[str, Any] = {"loss": scores.loss}
    for name in setup.task.metrics():
        metric = shipped_metrics()[name]
        options = {key: scores.options[key] for key in metric.options}
        inputs = {key: scores.inputs[key] for key in metric.inputs}
        metrics[name] = metric.compute(**inputs, **options)
    return metrics


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
