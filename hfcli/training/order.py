"""The order of training rows: a function of seed and epoch alone.

Upstream's sampler for length grouping draws from the global random state, so that a resumed run
sees another order from the second epoch on. It sorts at most a quarter of the rows at a time, so
that small data sets are padded twofold, and it leaves the steps in order of length. Knows
nothing about rows but their lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch.utils.data import Sampler

from hfcli.data.prepare import Stored
from hfcli.recipe.schema import Recipe
from hfcli.tasks.base import Prepared

Strategy = Literal["random", "sequential", "group_by_length"]
SORTED_STEPS = 50  # steps whose rows are sorted by length together, as upstream
BLUR = 0.1  # of lengths, either way; AllenNLP's padding_noise
EPOCH_STEP = 0x9E3779B9  # odd, so that seed + epoch * step meets no other run's for a long time


@dataclass(frozen=True)
class Order:
    """How training rows are ordered.

    Args:
        strategy: TrainingArguments' train_sampling_strategy.
        rows_per_step: rows of an optimizer step.
    """

    strategy: Strategy
    rows_per_step: int


def order_of(recipe: Recipe, train: Prepared) -> Order:
    """Return the recipe's order, else by length where rows of unequal length would be padded."""
    section = recipe.training
    by_itself: Strategy = "group_by_length" if isinstance(train.features, Stored) else "random"
    return Order(section.train_sampling_strategy or by_itself, section.rows_per_step)


def epoch_order(
    lengths: Sequence[int], strategy: Strategy, seed: int, epoch: int, rows_per_step: int
) -> list[int]:
    """Row numbers in the order of an epoch.

    Args:
        lengths: tokens of each row.
        strategy: TrainingArguments' train_sampling_strategy.
        seed: of the run.
        epoch: from 0.
        rows_per_step: rows of an optimizer step: rows of like length stay within one, so that
            the order does not depend on how a step is divided into batches.
    """
    if strategy == "sequential":
        return list(range(len(lengths)))
    generator = torch.Generator().manual_seed((seed + EPOCH_STEP * epoch) % 2**63)
    order: list[int] = torch.randperm(len(lengths), generator=generator).tolist()
    if strategy == "random":
        return order
    return _grouped(order, lengths, rows_per_step, generator)


def _grouped(
    order: Sequence[int], lengths: Sequence[int], rows_per_step: int, generator: torch.Generator
) -> list[int]:
    """Rows of like length in each step, the longest in the first; else steps are in any order."""
    window = SORTED_STEPS * rows_per_step
    # Where all rows are sorted together, the same ones would meet in every epoch.
    blur = BLUR if len(order) <= window else 0.0
    drawn = torch.rand(len(order), generator=generator).tolist()
    blurred = {i: lengths[i] * (1 + blur * (2 * share - 1)) for i, share in enumerate(drawn)}
    rows: list[int] = []
    for start in range(0, len(order), window):
        rows += sorted(order[start : start + window], key=lambda i: -blurred[i])
    whole = len(rows) // rows_per_step * rows_per_step  # the last step may be a partial one
    steps = [rows[i : i + rows_per_step] for i in range(0, whole, rows_per_step)]
    shuffled = [steps[i] for i in torch.randperm(len(steps), generator=generator).tolist()]
    # Memory that does not suffice shows at once. (No step is whole in a very small data set.)
    longest = max(shuffled, key=lambda step: max(lengths[i] for i in step), default=[])
    others = [step for step in shuffled if step is not longest]
    return [i for step in [longest, *others, rows[whole:]] for i in step]


class EpochSampler(Sampler[int]):
    """Gives the rows in `epoch_order`, told of the epoch by accelerate's `set_epoch`."""

    def __init__(self, lengths: Sequence[int], order: Order, seed: int) -> None:
        self.lengths, self.order, self.seed = lengths, order, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        order = self.order
        return iter(
            epoch_order(self.lengths, order.strategy, self.seed, self.epoch, order.rows_per_step)
        )
