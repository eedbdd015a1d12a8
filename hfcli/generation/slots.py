"""A model and the texts it is in the middle of: keys and values of every row, at their place.

Each row owns a slot; token i of a row stands at column i of its slot, so that rows of any length
share a batch without left padding, join it, and leave it, and none of the others notices. Other
models get one row at a time (`hfcli.generation.one_row`). Knows nothing about sampling or text.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hfcli.fast.batch_invariance import InvariantAttention
from hfcli.fast.decoders import whole_texts
from hfcli.fast.decoders.cached_attention import CachedAttention, additive
from hfcli.fast.linear import unpacked_weights
from hfcli.generation.slot_cache import View, slot_cache
from hfcli.tasks.base import pad_right

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hfcli.fast.decoders import Attend, Decoder

CACHE_NAMES = ("cache", "cache_params", "past_key_values")  # the newest first


class DecoderState(Protocol):
    """What the decoding loops need; both kinds of memory have it."""

    lengths: list[int]
    most: int | None
    computed: int

    def prefill(self, ids: Sequence[Sequence[int]]) -> Tensor: ...
    def expand(self, row: int, copies: int) -> None: ...
    def decode(self, tokens: Sequence[Sequence[int]]) -> Tensor: ...
    def truncate(self, row: int, length: int) -> bool: ...
    def free(self, row: int) -> None: ...
    def recompute(self, ids: Sequence[int]) -> Tensor: ...


def cache_name(model: PreTrainedModel) -> str:
    """Return the argument by which a model takes its cache; transformers 5.24 renamed it."""
    network: Any = model
    if hasattr(model, "get_base_model"):  # an adapter around it hands on what it does not know
        network = network.get_base_model()
    parameters = inspect.signature(network.forward).parameters
    return next((name for name in CACHE_NAMES if name in parameters), CACHE_NAMES[-1])


class ModelRows:
    """What both kinds share: the model, and the count of tokens it was run on."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model: Any = model
        self.computed = 0
        parameters = inspect.signature(self.model.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
        self.cache_name = cache_name(model)

    def recompute(self, ids: Sequence[int]) -> Tensor:
        """(1, vocabulary) float32 logits after `ids`, computed for them alone and from scratch."""
        import torch

        self.computed += len(ids)
        inputs = torch.tensor([list(ids)], device=self.model.device)
        with unpacked_weights():
            output = self.model(input_ids=inputs, use_cache=False, **self._last_only)
        return output.logits[:, -1].float()  # type: ignore[no-any-return]


class Slots(ModelRows):
    """Rows of any length in one batch.

    Args:
        lengths: tokens in memory, a row; rows are numbered in this order.
        most: how many rows there may be; None: as many as memory holds.
        decoder: the model's fused decoder; None: its modules.
        batch_invariant: no number of a row may depend on the others; needs `decoder`, and weights
            that are packed for it.
    """

    most: int | None = None

    def __init__(
        self,
        model: PreTrainedModel,
        decoder: Decoder | None = None,
        *,
        batch_invariant: bool = False,
    ) -> None:
        super().__init__(model)
        self.decoder = decoder
        self.batch_invariant = batch_invariant and decoder is not None
        self.lengths: list[int] = []
        self.view = View()
        self.cache = slot_cache(self.view)

    def prefill(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """Read new rows from their start; (new rows, vocabulary) float32 logits after each."""
        import torch

        # Filled up on the right, where nothing that counts can look.
        inputs = pad_right(ids, 0).to(self.model.device)
        n, longest = inputs.shape
        self.computed += n * longest
        self.view.live = max(self.lengths, default=0)
        self.view.start_reading(first=len(self.lengths), rows=n, columns=longest)
        ends = torch.tensor([len(row) - 1 for row in ids], device=inputs.device)
        logits = self._read(inputs, ends)
        self.lengths += [len(row) for row in ids]
        return logits.float()

    def _read(self, inputs: Tensor, ends: Tensor) -> Tensor:
        """(rows, vocabulary) logits at the end of each row."""
        import torch

        n, longest = inputs.shape
        positions = torch.arange(longest, device=inputs.device)[None]
        attend: Attend = CachedAttention(self.cache, self.view)
        if self.batch_invariant:
            attend = InvariantAttention(self.cache, self.view, (ends + 1).tolist())
        if self.decoder is not None and (n > 1 or self.batch_invariant):
            hidden = whole_texts.read(self.decoder, inputs, attend)
            return self.decoder.logits(hidden[torch.arange(n), ends])
        if self.decoder is not None:
            return self.decoder(inputs, positions, attend, ends)[:, 0]
        # transformers keeps the same tokens of all rows.
        kept = torch.unique(ends) if self._last_only else positions[0]
        output = self.model(
            input_ids=inputs,
            position_ids=positions.expand(n, -1),
            use_cache=True,
            **{self.cache_name: self.cache},
            **({"logits_to_keep": kept} if self._last_only else {}),
        )
        rows = torch.arange(n, device=inputs.device)
        return output.logits[rows, torch.searchsorted(kept, ends)]  # type: ignore[no-any-return]

    def expand(self, row: int, copies: int) -> None:
        """Add rows that have read what `row` has."""
        first = len(self.lengths)
        self.view.live = max(self.lengths)
        self.view.copy(row, range(first, first + copies), self.lengths[row])
        self.lengths += [self.lengths[row]] * copies

    def decode(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Read q more tokens of every row; (rows, q, vocabulary) float32 logits after each."""
        import torch

        inputs = torch.tensor([list(row) for row in tokens], device=self.model.device)
        n, q = inputs.shape
        self.computed += n * q
        start = torch.tensor(self.lengths, device=inputs.device)[:, None]
        positions = start + torch.arange(q, device=inputs.device)
        columns = max(self.lengths) + q
        self.view.live = columns
        self.view.start_extending(positions, columns)
        logits = self._extend(inputs, positions, columns)
        self.lengths = [length + q for length in self.lengths]
        return logits.float()

    def _extend(self, inputs: Tensor, positions: Tensor, columns: int) -> Tensor:
        import torch

        if self.decoder is not None and self.batch_invariant:
            attend = InvariantAttention(self.cache, self.view, (positions[:, -1] + 1).tolist())
            return self.decoder(inputs, positions, attend)
        mask = None
        if inputs.numel() > 1 or self.decoder is None:  # a single token reads everything
            seen = torch.arange(columns, device=inputs.device)[None, None] <= positions[:, :, None]
            mask = additive(seen, self.cache.layers[0].keys)  # eager attention adds what it gets
        if self.decoder is not None:
            return self.decoder(inputs, positions, CachedAttention(self.cache, self.view, mask))
        output = self.model(
            input_ids=inputs,
            position_ids=positions,
            attention_mask=mask,
            use_cache=True,
            **{self.cache_name: self.cache},
        )
        return output.logits  # type: ignore[no-any-return]

    def truncate(self, row: int, length: int) -> bool:
        """Forget what `row` read after its first `length` tokens."""
        self.lengths[row] = length
        return True

    def free(self, row: int) -> None:
        """Take a row out; the last row gets its number."""
        last = len(self.lengths) - 1
        if row != last:
            self.view.copy(last, [row], self.lengths[last])
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()
