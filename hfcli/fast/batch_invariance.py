"""Batch invariance: rows of a batch that have the very numbers they have alone, to the last bit.

oneDNN adds up a row of a product in the same order whatever the other rows are, as long as their
number stays below one limit, or is another that recurs (`hfcli.fast.linear`); attention is
computed row by row. That is a property of a processor and a version, promised by nobody; so it is
tested, and the answer cached. With it, files of prompts may be written in bfloat16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from hfcli.device import computes_bf16
from hfcli.fast.decoders.whole_texts import attend_alone
from hfcli.fast.linear import STEP
from hfcli.fast.protocol import SpeedUp, Versions, only_on_cpu

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from transformers import PreTrainedModel

    from hfcli.generation.slot_cache import View

TEST_LENGTHS = (1, 7, 33, 90)  # of the texts of the self-test, in tokens


class DecoderState(Protocol):
    """Rows of a model in memory; see `hfcli.generation.slots`."""

    def prefill(self, ids: Sequence[Sequence[int]]) -> Tensor: ...
    def expand(self, row: int, copies: int) -> None: ...
    def decode(self, tokens: Sequence[Sequence[int]]) -> Tensor: ...


class BatchInvariance(SpeedUp):
    """See the module."""

    name = "batch-invariance"
    help = "write files of prompts in bfloat16"
    scope = "for models whose rows do not depend on each other, tested on the model"

    def supports(self, versions: Versions, device: str) -> str | None:
        """See `SpeedUp.supports`."""
        import torch

        if device == "cpu" and not computes_bf16(torch.device("cpu")):
            # What emulates it adds up in orders that a short test does not meet.
            return "the processor has no instructions for bfloat16"
        return only_on_cpu(device)

    def prepare(
        self, model: PreTrainedModel, open_decoder_state: Callable[[], DecoderState], longest: int
    ) -> str | None:
        """Return why logits of texts are not the same to the last bit in a batch and alone.

        Args:
            model: on a CPU, its weights packed for batch invariance.
            open_decoder_state: gives an empty one, whose attention is `InvariantAttention`.
            longest: tokens that a row may have.
        """
        reason = self.refusal(model.device.type)
        return reason or self.failure_on(
            model, lambda: _differs_by(model, open_decoder_state, longest)
        )


def _differs_by(
    model: PreTrainedModel, open_decoder_state: Callable[[], DecoderState], longest: int
) -> float:
    """The largest difference between logits in a batch and alone."""
    import torch

    random = torch.Generator().manual_seed(0)
    size = int(model.config.vocab_size)
    texts = [
        torch.randint(size, (min(length, longest - 1),), generator=random).tolist()
        for length in TEST_LENGTHS
    ]
    with torch.inference_mode():
        together = _logits(open_decoder_state, texts, STEP)
        alone = torch.cat([_logits(open_decoder_state, [text], 1) for text in texts], 1)
        return float((together - alone).abs().max())


def _logits(
    open_decoder_state: Callable[[], DecoderState], texts: Sequence[Sequence[int]], rows: int
) -> Tensor:
    """(2, texts, vocabulary) after each text and after one more token, in a batch of `rows`."""
    import torch

    memory = open_decoder_state()
    read = memory.prefill(texts)
    if rows > len(texts):
        memory.expand(0, rows - len(texts))
    step = memory.decode([[0]] * rows)[: len(texts), 0]
    return torch.stack((read, step))


class InvariantAttention:
    """An `Attend` in which each row is read by itself: its numbers do not depend on the others.

    Args:
        cache: keeps keys and values of every layer.
        view: was told of the pass.
        lengths: columns that each row reads.
    """

    def __init__(self, cache: Any, view: View, lengths: Sequence[int]) -> None:
        self.cache, self.view, self.lengths = cache, view, lengths

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        held = self.cache.update(k.transpose(1, 2), v.transpose(1, 2), layer)
        read = self._whole if self.view.reading else self._last
        return read(q, held[0], held[1], scale)

    def _whole(self, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Of texts that start here."""
        rows, tokens, heads, width = q.shape
        found = q.new_zeros(rows, tokens, heads * width)
        for row, length in enumerate(self.lengths):
            own = slice(row, row + 1), slice(None, length)
            keys, values = k.transpose(1, 2)[own], v.transpose(1, 2)[own]
            found[own] = attend_alone(0, q[own], keys, values, scale)
        return found

    def _last(self, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Of one more token of each text."""
        import torch
        from torch.nn.functional import scaled_dot_product_attention

        rows, _one, heads, width = q.shape
        # Queries of one head of keys stand together as if they were tokens.
        q = q.view(rows, 1, k.shape[1], -1, width)[:, 0]
        found = [
            scaled_dot_product_attention(
                q[row : row + 1], k[row : row + 1, :, :n], v[row : row + 1, :, :n], scale=scale
            )
            for row, n in enumerate(self.lengths)
        ]
        return torch.cat(found).view(rows, 1, heads * width)
