"""Admission control: how many rows may be computed together, by number and by memory.

Memory is not allocated until it is used, and on a CPU the system ends the process when there is no
more; so rows are admitted by the most memory they can grow to. Knows nothing about text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfcli.device import free_memory
from hfcli.generation.request import Request
from hfcli.generation.slot_cache import GROWTH

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LARGEST_BATCH = 32  # on two cores, more rows win nothing
MEMORY_SHARE = 0.4  # of what is free, for keys, values and logits
LOGIT_COPIES = 12  # float32 copies of a row of logits on the way to a token


@dataclass
class MemoryBudget:
    """How many rows fit.

    Args:
        rows: most rows at a time.
        memory: bytes for all of them; None: not known, or the user chose the number of rows.
        column: bytes of a token in the cache, at the moment it grows.
        row: bytes of a row beside its tokens.
    """

    rows: int
    memory: int | None = None
    column: int = 0
    row: int = 0

    def admit(self, at_work: Iterable[Request], waiting: Iterable[Request]) -> int:
        """How many of those that wait can start now; one always can where none is at work.

        Every row has as many columns as the longest has.
        """
        sizes = [_most_tokens(request) for request in at_work]
        longest, n, started = max(sizes, default=0), len(sizes), 0
        for request in waiting:
            longest, n = max(longest, _most_tokens(request)), n + 1
            if n > self.rows or (n > 1 and not self._fits(n, longest)):
                break
            started += 1
        return started

    def _fits(self, n: int, longest: int) -> bool:
        columns = -(-longest // GROWTH) * GROWTH
        return self.memory is None or n * (columns * self.column + self.row) <= self.memory


def memory_budget(model: PreTrainedModel, rows: int | None) -> MemoryBudget:
    """The room for a model's rows; `rows` is the number the user wants, None: what fits."""
    if rows is not None:
        return MemoryBudget(rows)
    config: Any = model.config.get_text_config(decoder=True)
    cache = 2 * _width(config) * config.num_hidden_layers * model.dtype.itemsize
    free = free_memory(model.device)  # None: batches are divided where they turn out too large
    return MemoryBudget(
        rows=LARGEST_BATCH,
        memory=None if free is None else int(MEMORY_SHARE * free),
        column=2 * cache,  # the old and the new cache, while it grows
        row=LOGIT_COPIES * 4 * int(config.vocab_size),
    )


def memory_of_beams(model: PreTrainedModel, beams: int, tokens: int) -> tuple[int, int | None]:
    """Return the bytes that so many beams of so many tokens need, and those that are free.

    Args:
        model: whose keys and values a beam keeps, twice while beams are sorted anew.
        beams: at work together.
        tokens: of the prompt and the text.

    Returns:
        Bytes needed; bytes free on the model's device, None where that, or the size of what a
        token leaves behind, is not known.
    """
    config: Any = model.config.get_text_config(decoder=True)
    if not all(hasattr(config, name) for name in ("num_hidden_layers", "hidden_size")):
        return 0, None
    fit = memory_budget(model, None)
    return beams * (tokens * fit.column + fit.row), free_memory(model.device)


def _width(config: Any) -> int:
    """Numbers in the keys of a token; fewer than the model's width where heads share them."""
    heads: Any = getattr(config, "num_key_value_heads", None)
    width: Any = getattr(config, "head_dim", None)
    if not isinstance(heads, int):
        return int(config.hidden_size)
    return int(heads * (width or config.hidden_size // config.num_attention_heads))


def _most_tokens(request: Request) -> int:
    return len(request.ids) + request.max_new_tokens
