"""`per_device_train_batch_size: auto` -> the most rows that fit into memory at a time.

The rows of an optimizer step, and with them the gradients, stay what the recipe says: what does
not fit at a time is accumulated. Trains nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hfcli.device import free_memory, out_of_memory
from hfcli.recipe.schema import Recipe
from hfcli.recipe.training import AUTO
from hfcli.results import Listener, Note

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from hfcli.training.setup import RunSetup
    from hfcli.training.trainer import HfcliTrainer

# Of the free memory: predictions are within a fifth of what runs need (tests/e2e/test_dry_run.py).
MARGIN = 0.8
UNKNOWN = 8  # rows at most where nothing tells how much memory there is; they are tried
GIB = 2**30


def settle_batch_size(
    *,
    recipe: Recipe,
    setup: RunSetup,
    arguments: TrainingArguments,
    listener: Listener,
    before: dict[str, Any] | None = None,
) -> Recipe:
    """The recipe with numbers in the place of `auto`; one that has numbers stays as it is.

    Args:
        recipe: validated.
        setup: its model and rows, which are tried.
        arguments: of the run.
        listener: gets a note that says what was chosen, and why.
        before: the record of the run that goes on: its numbers are taken, whatever there is room
            for now, so that the run stays the same to the last bit.
    """
    recipe = with_split_of(recipe, before)
    if recipe.training.per_device_train_batch_size != AUTO:
        return recipe
    from hfcli.training.trial import trial_trainer, used_memory

    device = setup.loaded.model.device
    total = recipe.training.rows_per_step
    free = free_memory(device)
    room = None if free is None else used_memory(device) + int(MARGIN * free)
    with trial_trainer(_with(recipe, 1, total), setup, arguments) as trainer:
        need = _need(trainer, predict=room is not None)
        rows = largest_rows(total, need, room)
    listener(Note(_sentence(rows, total, need, room)))
    return _with(recipe, rows, total // rows)


def with_split_of(recipe: Recipe, before: dict[str, Any] | None) -> Recipe:
    """The recipe with the numbers that an earlier run has found for `auto`."""
    section = recipe.training
    if before is None or section.per_device_train_batch_size != AUTO:
        return recipe
    told = before["recipe"].get("training", {})
    rows = told.get("per_device_train_batch_size", AUTO)
    times = told.get("gradient_accumulation_steps", 1)
    if rows == AUTO or rows * times != section.rows_per_step:
        return recipe
    return _with(recipe, rows, times)


def largest_rows(total: int, need: Callable[[int], float | None], room: int | None) -> int:
    """The largest divisor of `total` whose need there is room for, and 1 in any case.

    Args:
        total: rows of an optimizer step.
        need: rows -> bytes at the peak; None: not known, but a batch of so many went through.
        room: bytes there are; None: not known.
    """
    divisors = [rows for rows in range(1, total + 1) if total % rows == 0]
    if room is None or need(1) is None:
        few = [rows for rows in divisors if rows <= UNKNOWN]
        return next((rows for rows in reversed(few) if need(rows) != math.inf), 1)
    fitting = [rows for rows in divisors if (need(rows) or 0) <= room]
    return max(fitting, default=1)


def _need(trainer: HfcliTrainer, *, predict: bool) -> Callable[[int], float | None]:
    """Rows -> bytes at the peak, from passes of one row and of two.

    Activations grow with the rows; weights, gradients and the optimizer's state do not. Where
    nothing can be predicted, a pass of so many rows is tried.
    """
    from hfcli.training.trial import Trial, first_batches, peak_memory

    setup, device = trainer.setup, trainer.args.device
    trial = Trial(trainer)
    parameters = setup.loaded.model.parameters()
    trained = sum(p.numel() for p in parameters if p.requires_grad)

    @functools.cache
    def measure(rows: int) -> float | None:
        batches = first_batches(setup, trainer.order, trainer.args.seed, rows)
        try:
            return peak_memory(
                work=lambda: trial.largest_training(batches),
                device=device,
                trained_parameters=trained,
            )
        except (RuntimeError, MemoryError) as e:
            if not out_of_memory(e):
                raise
            return math.inf

    if not predict:
        return measure
    measure.__wrapped__(1)  # the first pass of all allocates what stays
    one, two = measure(1), measure(2)
    if one is None or two is None:
        return measure
    if math.isinf(one) or math.isinf(two):
        return lambda rows: one if rows == 1 else math.inf
    return lambda rows: one + max(0.0, two - one) * (rows - 1)


def _with(recipe: Recipe, rows: int, times: int) -> Recipe:
    return recipe.model_copy(update={"training": recipe.training.with_split(rows, times)})


def _sentence(rows: int, total: int, need: Callable[[int], float | None], room: int | None) -> str:
    chosen = (
        f"per_device_train_batch_size auto: {rows}, with gradient_accumulation_steps"
        f" {total // rows} ({total} rows a step)"
    )
    needed = None if room is None else need(rows)
    if room is None or needed is None:
        return f"{chosen}; tried, since the device does not report its memory"
    more = next((d for d in range(rows + 1, total + 1) if total % d == 0), None)
    why = f"needs about {_gib(needed)} of the {_gib(room)} that may be used"
    return f"{chosen}: {why}" + ("" if more is None else f"; {more} would need {_gib(need(more))}")


def _gib(size: float | None) -> str:
    return "more" if size is None or math.isinf(size) else f"{size / GIB:.1f} GiB"
