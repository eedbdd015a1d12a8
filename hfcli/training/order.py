"""The order of training rows: a function of seed and epoch alone.

Upstream's sampler for length grouping draws from the global random state, so that a resumed run
sees another order from the second epoch on. Made in a factory, because a sampler must subclass a
torch class. Knows nothing about rows but their lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch.utils.data import Sampler

Strategy = Literal["random", "sequential", "group_by_length"]
EPOCH_STEP = 0x9E3779B9  # odd, so that seed + epoch * step meets no other run's for a long time


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
    import torch
    from transformers.trainer_pt_utils import get_length_grouped_indices

    if strategy == "sequential":
        return list(range(len(lengths)))
    generator = torch.Generator().manual_seed((seed + EPOCH_STEP * epoch) % 2**63)
    if strategy == "random":
        return torch.randperm(len(lengths), generator=generator).tolist()
    return [int(i) for i in get_length_grouped_indices(lengths, rows_per_step, generator=generator)]


def make_sampler(
    lengths: Sequence[int], strategy: Strategy, seed: int, rows_per_step: int
) -> Sampler[int]:
    """A sampler over `epoch_order`, told of the epoch by accelerate's `set_epoch`."""
    from torch.utils.data import Sampler

    class EpochSampler(Sampler[int]):
        epoch = 0

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __len__(self) -> int:
            return len(lengths)

        def __iter__(self) -> Iterator[int]:
            order: Any = epoch_order(lengths, strategy, seed, self.epoch, rows_per_step)
            return iter(order)

    return EpochSampler()
