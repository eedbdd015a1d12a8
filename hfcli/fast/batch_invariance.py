"""Whether rows of a batch have the very numbers that they have alone, tried on the machine at hand.

oneDNN adds up a row of a product in the same order whatever the other rows are, as long as their
number stays below one limit, or is another that recurs (`hfcli.fast.linear`); attention is
computed row by row (`hfcli.fast.decoders.cached_attention`). That is a property of a processor and
a version, promised by nobody; so it is tried, and the answer kept. Knows nothing about text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from hfcli.cache import remember, remembered
from hfcli.device import computes_bf16
from hfcli.fast.bfloat16 import processor
from hfcli.fast.linear import STEP
from hfcli.foreign import forward_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from transformers import PreTrainedModel


LENGTHS = (1, 7, 33, 90)  # of the texts it is tried with, in tokens


class Rows(Protocol):
    """Rows of a model in memory; see `hfcli.generation.slots`."""

    def prefill(self, ids: Sequence[Sequence[int]]) -> Tensor: ...
    def expand(self, row: int, copies: int) -> None: ...
    def decode(self, tokens: Sequence[Sequence[int]]) -> Tensor: ...


def rows_stand_apart(model: PreTrainedModel, open_rows: Callable[[], Rows], longest: int) -> bool:
    """Whether logits of some texts are the same to the last bit in a batch and alone.

    Args:
        model: on a CPU, its weights packed `apart`.
        open_rows: an empty memory of the model, whose rows are computed apart.
        longest: tokens that a row may have.
    """
    import torch

    if not computes_bf16(model.device):
        return False  # what emulates it adds up in orders that a short trial does not meet
    shape = json.dumps(model.config.to_diff_dict(), sort_keys=True, default=str)
    key = ["apart", processor(), torch.__version__, torch.get_num_threads(), shape]
    stored = remembered("starts", key)
    if stored is None:
        with forward_errors(model), torch.inference_mode():
            stored = _tried(model, open_rows, longest)
        remember("starts", key, stored)
    return bool(stored)


def _tried(model: PreTrainedModel, open_rows: Callable[[], Rows], longest: int) -> bool:
    import torch

    random = torch.Generator().manual_seed(0)
    size = int(model.config.vocab_size)
    texts = [
        torch.randint(size, (min(length, longest - 1),), generator=random).tolist()
        for length in LENGTHS
    ]
    together = _logits(open_rows, texts, STEP)
    alone = torch.cat([_logits(open_rows, [text], 1) for text in texts], 1)
    return torch.equal(together, alone)


def _logits(open_rows: Callable[[], Rows], texts: Sequence[Sequence[int]], rows: int) -> Tensor:
    """(2, texts, vocabulary) after each text and after one more token, in a batch of `rows`."""
    import torch

    slots = open_rows()
    read = slots.prefill(texts)
    if rows > len(texts):
        slots.expand(0, rows - len(texts))
    step = slots.decode([[0]] * rows)[: len(texts), 0]
    return torch.stack((read, step))
