"""A model over prepared rows -> scores. Training and evaluation share this loop, so that a
number in the training log is the number `hfcli eval` gives. Knows nothing about metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hfcli.tasks.base import Prepared, Reduced, Scores, Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def score(
    *,
    task: Task,
    model: PreTrainedModel,
    prepared: Prepared,
    batch_size: int,
    pad_token_id: int,
    on_rows: Callable[[int, int], None] | None = None,
) -> Scores:
    """Run `model` over all features in batches of similar length.

    Args:
        task: collates, reduces and sums up.
        model: left in the mode it was found in; no gradients.
        prepared: from `task.prepare(..., train=False)`.
        batch_size: rows in a batch.
        pad_token_id: fills the shorter rows; it is masked.
        on_rows: called with (rows done, rows in all) after each batch.
    """
    import torch

    features, lengths = prepared.features, prepared.lengths
    # Longest first: what does not fit into memory fails at once, and little is padded.
    order = sorted(range(len(features)), key=lambda i: -lengths[i])
    reduced: Reduced = [()] * len(features)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            batch = task.collate([features[i] for i in indices], pad_token_id)
            batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
            labels = batch.pop("labels")
            rows = task.reduce(model(**batch).logits, labels)
            for i, row in zip(indices, rows, strict=True):
                reduced[i] = row
            if on_rows:
                on_rows(min(start + batch_size, len(order)), len(order))
    model.train(was_training)
    return task.scores(prepared, reduced)
