"""Batches passed through a model to see how long they take and how much memory they need.

No formula of activations fits every architecture, number type and loss. The weights stay as they
are.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from hfcli import files
from hfcli.device import device_module
from hfcli.fast.memory import trim
from hfcli.models.load import filler_id
from hfcli.recipe.schema import Recipe
from hfcli.tasks.base import IGNORE
from hfcli.tasks.scoring import batches as scoring_batches
from hfcli.tasks.scoring import reduce_batch
from hfcli.training.arguments import arguments_for
from hfcli.training.order import Order, epoch_order
from hfcli.training.setup import RunSetup
from hfcli.training.trainer import ORIGINS, TOKENS, HfcliTrainer, make_trainer

ADAM_BYTES = 8  # two float32 moments a trained parameter
RESET_PEAK = "5"  # proc(5), clear_refs: the peak begins anew at what is used now
Batches = Sequence[Sequence[int]]


@contextmanager
def trial_trainer(
    recipe: Recipe, setup: RunSetup, arguments: TrainingArguments, *, optimized: bool = True
) -> Iterator[HfcliTrainer]:
    """Give the Trainer of a run, in a folder of its own: Trainer makes its folder at once.

    Args:
        recipe, setup, arguments: of the run.
        optimized: speed up the model, as the run does.
    """
    with tempfile.TemporaryDirectory(dir=files.scratch()) as folder:
        own = arguments_for(
            arguments,
            folder=Path(folder) / "checkpoints",
            split=recipe.training.split,
            evaluate=setup.validation is not None,
        )
        yield make_trainer(recipe=recipe, setup=setup, arguments=own, optimized=optimized)


def first_batches(setup: RunSetup, order: Order, seed: int, rows: int) -> list[list[int]]:
    """The batches of the first epoch, `rows` at a time."""
    lengths = setup.train.lengths
    indices = epoch_order(lengths, order.strategy, seed, 0, order.rows_per_step)
    return [indices[i : i + rows] for i in range(0, len(indices), rows)]


class Trial:
    """Passes over the training rows of a run.

    Args:
        trainer: computes the loss as the run would.
    """

    def __init__(self, trainer: HfcliTrainer) -> None:
        self.trainer, self.setup = trainer, trainer.setup

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


def peak_memory(
    *, work: Callable[[], object], device: torch.device, trained_parameters: int
) -> int | None:
    """Bytes in use at the peak of a run whose largest batches `work` stands for.

    Args:
        work: a forward and backward pass of the largest batch, and a scoring pass.
        device: its own memory is measured; on a CPU that of the whole process.
        trained_parameters: the optimizer's state, which `work` lacks, is counted from these.

    Returns:
        None where the system does not tell.
    """
    if device.type == "cpu":
        _reset()
        work()
        peak = _peak()
    else:
        peak = _peak_of_accelerator(work, device)
    return peak + ADAM_BYTES * trained_parameters if peak else None


def used_memory(device: torch.device) -> int:
    """Bytes in use now, counted as `peak_memory` counts; 0 where the system does not tell."""
    if device.type == "cpu":
        trim()
        return _told("VmRSS") or _by_psutil("rss")
    module = device_module(device)
    with suppress(RuntimeError, NotImplementedError):  # the driver does not tell
        if _counts_peaks(module):
            return int(module.memory_allocated(device))
        if hasattr(module, "driver_allocated_memory"):
            module.empty_cache()
            return int(module.driver_allocated_memory())
    return 0


def _peak_of_accelerator(work: Callable[[], object], device: torch.device) -> int:
    """Largest memory in bytes on an accelerator while it works, or 0 where it is not told.

    MPS counts no peak: what its allocator holds after the work is as much as the work needed.
    """
    module = device_module(device)
    if not _counts_peaks(module):
        used_memory(device)  # gives back what earlier work left
        work()
        return int(getattr(module, "driver_allocated_memory", int)())
    module.reset_peak_memory_stats(device)
    work()
    return int(module.max_memory_allocated(device))


def _counts_peaks(module: Any) -> bool:
    """Whether torch counts the peak of a kind of accelerator: cuda, xpu and npu do."""
    return hasattr(module, "reset_peak_memory_stats") and hasattr(module, "max_memory_allocated")


def _reset() -> None:
    trim()
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return  # the peak is then that of the whole process so far


def _peak() -> int:
    """Largest resident memory in bytes since the reset, or 0 where it is not told."""
    if sys.platform == "darwin":
        import resource  # Windows has no such module

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _told("VmHWM") or _by_psutil("peak_wset")


def _by_psutil(name: str) -> int:
    """A size in bytes that psutil knows on this system (macOS, Windows), or 0."""
    import psutil

    return int(getattr(psutil.Process().memory_info(), name, 0))


def _told(name: str) -> int:
    """A size in bytes from proc(5), or 0."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return 1024 * int(next(found, "0"))
