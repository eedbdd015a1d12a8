"""Scores of a model in training on its validation rows, as `hfcli eval` will compute them.

Knows nothing about Trainer.
"""

from __future__ import annotations

import copy
from typing import Any

from hfcli.metrics import shipped_metrics
from hfcli.models.load import filler_id
from hfcli.tasks.scoring import score
from hfcli.training.setup import RunSetup


def validation_scores(setup: RunSetup, batch_size: int) -> dict[str, Any]:
    """Return the loss and the task's metrics on the validation rows."""
    assert setup.validation is not None, "evaluation is off without a validation split"
    from accelerate.utils import extract_model_from_parallel

    # Without the autocast that accelerate puts around `forward` for training: scores are those of
    # the saved weights in float32. A shallow copy has the same weights, and a `forward` of its own.
    model = extract_model_from_parallel(copy.copy(setup.loaded.model), keep_fp32_wrapper=False)
    scores = score(
        task=setup.task,
        model=model,
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
