"""Batches passed through a model to see how long they take and how much memory they need.

The weights stay as they are. Knows nothing about recipes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hfcli.models.load import filler_id
from hfcli.tasks.base import IGNORE
from hfcli.tasks.scoring import batches as scoring_batches
from hfcli.tasks.scoring import reduce_batch
from hfcli.training.order import epoch_order
from hfcli.training.setup import RunSetup
from hfcli.training.trainer import ORIGINS, TOKENS, Order

if TYPE_CHECKING:
    from transformers import Trainer

Batches = Sequence[Sequence[int]]


def first_batches(setup: RunSetup, order: Order, seed: int, rows: int) -> list[list[int]]:
    """The batches of the first epoch, `rows` at a time."""
    lengths = setup.train.lengths
    indices = epoch_order(lengths, order.strategy, seed, 0, order.rows_per_step)
    return [indices[i : i + rows] for i in range(0, len(indices), rows)]


class Trial:
    """Passes over the training rows of a run.

    Args:
        trainer: computes the loss as the run would.
        setup: model and rows.
    """

    def __init__(self, trainer: Trainer, setup: RunSetup) -> None:
        self.trainer = trainer
        self.setup = setup

    def seconds_per_token(self, batches: Batches) -> float:
        """Of a forward and backward pass, padding included, on a batch of middle size."""
        middle = sorted(batches, key=self._longest)[len(batches) // 2]
        # The first pass allocates memory and chooses kernels; later steps do not.
        times = [self._pass(middle) for _ in range(3)][1:]
        return statistics.median(times) / (self._longest(middle) * len(middle))

    def largest(self, batches: Batches, eval_rows: int) -> None:
        """The largest training batch, forward and back, and the largest scoring batch."""
        self.largest_training(batches)
        self._largest_scoring(eval_rows)

    def largest_training(self, batches: Batches) -> None:
        """The largest training batch, forward and back."""
        widest = max(batches, key=lambda rows: self._longest(rows) * len(rows))
        # With accumulation, the gradients of earlier batches are in memory too.
        accumulates = self.trainer.args.gradient_accumulation_steps > 1
        self._pass(widest, keep=accumulates)
        if accumulates:
            self._pass(widest)

    def _largest_scoring(self, eval_rows: int) -> None:
        import torch

        setup, held = self.setup, self.setup.validation
        if held is None:
            return
        first = next(scoring_batches(held.lengths, eval_rows, setup.task.tokens_at_once))
        setup.loaded.model.eval()
        with torch.inference_mode():
            features = [held.features[i] for i in first]
            pad = filler_id(setup.loaded.tokenizer)
            reduce_batch(setup.task, setup.loaded.model, features, pad)

    def _longest(self, rows: Sequence[int]) -> int:
        return max(self.setup.train.lengths[i] for i in rows)

    def _pass(self, rows: Sequence[int], *, keep: bool = False) -> float:
        """Seconds of a forward and backward pass of a batch."""
        import torch

        collate: Any = self.trainer.data_collator
        model: Any = self.setup.loaded.model
        model.train()
        batch = collate([self.setup.train.features[i] for i in rows])
        del batch[ORIGINS], batch[TOKENS]
        batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
        start = time.perf_counter()
        n_items = (batch["labels"] != IGNORE).sum().to(torch.float32)
        with self.trainer.accelerator.autocast():
            loss: Any = self.trainer.compute_loss(model, batch, num_items_in_batch=n_items)
        loss.backward()
        seconds = time.perf_counter() - start
        if not keep:
            model.zero_grad(set_to_none=True)
        return seconds
