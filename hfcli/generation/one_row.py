"""One row at a time, for models whose memory is not plain attention.

Sliding windows, state spaces and ALiBi go with transformers' own cache. Architectures differ in
what they need told with it; `hfcli.generation.batchable` tries the ways in the order below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hfcli.generation.slots import CACHE_NAMES, ModelRows

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class OneRow(ModelRows):
    """One row in transformers' own cache.

    Args:
        several: read several tokens after the first pass at once; False: one by one, as some
            state-space models need.
        positions: give the model the positions of its tokens.
    """

    most: int | None = 1

    def __init__(
        self, model: PreTrainedModel, *, several: bool = True, positions: bool = False
    ) -> None:
        super().__init__(model)
        self.several, self.positions = several, positions
        self.lengths: list[int] = []
        self.cache: Any = None

    def prefill(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """As Slots.prefill, for a single row."""
        (row,) = ids
        self.cache = None
        self.lengths = [0]
        return self._read(row)[:, -1]

    def expand(self, row: int, copies: int) -> None:
        """Not possible here."""
        raise NotImplementedError

    def decode(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """As Slots.decode."""
        import torch

        (row,) = tokens
        if self.several:
            return self._read(row)
        return torch.cat([self._read([token]) for token in row], 1)

    def _read(self, tokens: Sequence[int]) -> Tensor:
        """(1, tokens, vocabulary) float32 logits after each token."""
        import torch

        inputs = torch.tensor([list(tokens)], device=self.model.device)
        n, start = inputs.shape[1], self.lengths[0]
        self.computed += n
        options = {self.cache_name: self.cache}
        if self.positions:
            options["position_ids"] = torch.arange(start, start + n, device=inputs.device)[None]
        output = self.model(input_ids=inputs, use_cache=True, **options)
        # A model that came with code may call what it returns otherwise than what it takes.
        self.cache = output[next((n for n in CACHE_NAMES if n in output), self.cache_name)]
        self.lengths[0] += n
        return output.logits.float()  # type: ignore[no-any-return]

    def truncate(self, row: int, length: int) -> bool:
        """Whether it was possible: a sliding window has forgotten what came before it."""
        return length == self.lengths[row]

    def free(self, row: int) -> None:
        """Forget the row."""
        self.lengths.pop(row)
        self.cache = None


class WholeRow(OneRow):
    """One row, read from its start for every token: slow, and right for any cache."""

    def prefill(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """As OneRow.prefill."""
        self._ids: list[int] = []
        return super().prefill(ids)

    def _read(self, tokens: Sequence[int]) -> Tensor:
        import torch

        self._ids += tokens
        self.lengths[0] = len(self._ids)
        self.computed += len(self._ids)
        inputs = torch.tensor([self._ids], device=self.model.device)
        logits = self.model(input_ids=inputs, use_cache=False).logits[:, -len(tokens) :]
        return logits.float()  # type: ignore[no-any-return]

    def truncate(self, row: int, length: int) -> bool:
        """Forget what the row read after its first `length` tokens."""
        del self._ids[length:]
        self.lengths[row] = length
        return True
