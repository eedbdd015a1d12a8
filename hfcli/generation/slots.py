"""A model and the texts it is in the middle of: keys and values of every row, at their place.

Each row owns a slot; token i of a row stands at column i of its slot, so that rows of any length
share a batch without left padding, join it, and leave it, and none of the others notices. Models
whose memory is not plain attention (sliding windows, state spaces, ALiBi) get one row at a time
and transformers' own cache. Knows nothing about sampling or text.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hfcli.tasks.base import pad_right

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

GROWTH = 64  # columns by which slots grow


class Rows(Protocol):
    """What the decoding loops need; both kinds of memory have it."""

    lengths: list[int]
    most: int | None
    computed: int

    def admit(self, ids: Sequence[Sequence[int]]) -> Tensor: ...
    def fork(self, row: int, copies: int) -> None: ...
    def extend(self, tokens: Sequence[Sequence[int]]) -> Tensor: ...
    def rewind(self, row: int, length: int) -> bool: ...
    def leave(self, row: int) -> None: ...
    def alone(self, ids: Sequence[int]) -> Tensor: ...


def open_rows(model: PreTrainedModel, longest: int) -> Rows:
    """The memory that fits the model, for rows of at most `longest` tokens."""
    return Slots(model) if _plain_attention(model, longest) else OneRow(model)


def _plain_attention(model: PreTrainedModel, longest: int) -> bool:
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    forward: Any = model.forward
    if "position_ids" not in inspect.signature(forward).parameters:
        return False
    if getattr(model, "_is_stateful", False) or model.config.is_encoder_decoder:
        return False
    for layer in DynamicCache(config=model.config).layers:
        short = isinstance(layer, DynamicSlidingWindowLayer) and layer.sliding_window >= longest
        if type(layer) is not DynamicLayer and not short:
            return False
    return True


class _Model:
    """What both kinds share: the model, and the count of tokens it was run on."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model: Any = model
        self.computed = 0
        parameters = inspect.signature(self.model.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}

    def alone(self, ids: Sequence[int]) -> Tensor:
        """(1, vocabulary) float32 logits after `ids`, computed for them alone and from scratch."""
        import torch

        self.computed += len(ids)
        inputs = torch.tensor([list(ids)], device=self.model.device)
        output = self.model(input_ids=inputs, use_cache=False, **self._last_only)
        return output.logits[:, -1].float()  # type: ignore[no-any-return]


class Slots(_Model):
    """Rows of any length in one batch.

    Args:
        lengths: tokens in memory, a row; rows are numbered in this order.
        most: how many rows there may be; None: as many as memory holds.
    """

    most: int | None = None

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.lengths: list[int] = []
        self.cache, self.view = _slot_cache()

    def admit(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """Read new rows from their start; (new rows, vocabulary) float32 logits after each."""
        import torch

        # Filled up on the right, where nothing that counts can look.
        inputs = pad_right(ids, 0).to(self.model.device)
        n, longest = inputs.shape
        self.computed += n * longest
        self.view.start_reading(first=len(self.lengths), rows=n, columns=longest)
        positions = torch.arange(longest, device=inputs.device)[None]
        ends = [len(row) - 1 for row in ids]
        kept = sorted(set(ends))
        options = {}
        if self._last_only:
            options["logits_to_keep"] = torch.tensor(kept, device=inputs.device)
        output = self.model(
            input_ids=inputs,
            position_ids=positions.expand(n, -1),
            past_key_values=self.cache,
            use_cache=True,
            **options,
        )
        at = [kept.index(end) if options else end for end in ends]
        self.lengths += [len(row) for row in ids]
        return output.logits[list(range(n)), at].float()  # type: ignore[no-any-return]

    def fork(self, row: int, copies: int) -> None:
        """Add rows that have read what `row` has."""
        first = len(self.lengths)
        self.view.copy(row, range(first, first + copies), self.lengths[row])
        self.lengths += [self.lengths[row]] * copies

    def extend(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Read q more tokens of every row; (rows, q, vocabulary) float32 logits after each."""
        import torch

        inputs = torch.tensor([list(row) for row in tokens], device=self.model.device)
        n, q = inputs.shape
        self.computed += n * q
        start = torch.tensor(self.lengths, device=inputs.device)[:, None]
        positions = start + torch.arange(q, device=inputs.device)
        columns = max(self.lengths) + q
        self.view.start_extending(positions, columns)
        mask = torch.arange(columns, device=inputs.device)[None, None] <= positions[:, :, None]
        output = self.model(
            input_ids=inputs,
            position_ids=positions,
            attention_mask=mask[:, None],
            past_key_values=self.cache,
            use_cache=True,
        )
        self.lengths = [length + q for length in self.lengths]
        return output.logits.float()  # type: ignore[no-any-return]

    def rewind(self, row: int, length: int) -> bool:
        """Forget what `row` read after its first `length` tokens."""
        self.lengths[row] = length
        return True

    def leave(self, row: int) -> None:
        """Take a row out; the last row gets its number."""
        last = len(self.lengths) - 1
        if row != last:
            self.view.copy(last, [row], self.lengths[last])
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()


class OneRow(_Model):
    """One row at a time, in transformers' own cache."""

    most: int | None = 1

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.lengths: list[int] = []
        self.cache: Any = None
        names = inspect.signature(self.model.forward).parameters
        self._cache_name = "cache_params" if "cache_params" in names else "past_key_values"

    def admit(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """As Slots.admit, for a single row."""
        (row,) = ids
        self.cache = None
        self.lengths = [0]
        return self.extend([row])[:, -1]

    def fork(self, row: int, copies: int) -> None:
        """Not possible here."""
        raise NotImplementedError

    def extend(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """As Slots.extend."""
        import torch

        inputs = torch.tensor([list(tokens[0])], device=self.model.device)
        self.computed += inputs.shape[1]
        output = self.model(input_ids=inputs, use_cache=True, **{self._cache_name: self.cache})
        self.cache = output[self._cache_name]
        self.lengths[0] += inputs.shape[1]
        return output.logits.float()  # type: ignore[no-any-return]

    def rewind(self, row: int, length: int) -> bool:
        """Whether it was possible: a sliding window has forgotten what came before it."""
        return length == self.lengths[row]

    def leave(self, row: int) -> None:
        """Forget the row."""
        self.lengths.pop(row)
        self.cache = None


class _View:
    """Where the layers of the cache write, told before each forward pass."""

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.reading = True
        self.first = self.rows = self.columns = 0
        self.positions: Any = None
        self.row_numbers: Any = None

    def start_reading(self, *, first: int, rows: int, columns: int) -> None:
        self.reading, self.first, self.rows, self.columns = True, first, first + rows, columns

    def start_extending(self, positions: Tensor, columns: int) -> None:
        import torch

        self.reading, self.columns, self.rows = False, columns, len(positions)
        self.positions = positions
        self.row_numbers = torch.arange(len(positions), device=positions.device)[:, None]

    def copy(self, source: int, targets: Sequence[int], length: int) -> None:
        for layer in self.layers:
            layer.fit(max(*targets, source) + 1, length)
            for target in targets:
                layer.keys[target, :, :length] = layer.keys[source, :, :length]
                layer.values[target, :, :length] = layer.values[source, :, :length]


def _slot_cache() -> tuple[Any, _View]:
    """A transformers Cache that writes into slots, and the view that says where."""
    from transformers import Cache
    from transformers.cache_utils import DynamicLayer

    view = _View()

    class SlotLayer(DynamicLayer):
        keys: Any
        values: Any

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            view.layers.append(self)

        def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
            heads, width = key_states.shape[1], key_states.shape[3]
            self.keys = key_states.new_zeros(0, heads, 0, width)
            self.values = value_states.new_zeros(0, heads, 0, value_states.shape[3])
            self.is_initialized = True

        def fit(self, rows: int, columns: int) -> None:
            """Room for so many rows and columns; zeros, since 0 * NaN would leave its mask."""
            held_rows, _heads, held, _width = self.keys.shape
            if rows <= held_rows and columns <= held:
                return
            shape = (max(rows, held_rows), max(-(-columns // GROWTH) * GROWTH, held))
            for name in ("keys", "values"):
                old: Tensor = getattr(self, name)
                new = old.new_zeros(shape[0], old.shape[1], shape[1], old.shape[3])
                new[:held_rows, :, :held] = old
                setattr(self, name, new)

        def update(
            self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
        ) -> tuple[Tensor, Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            self.fit(view.rows, view.columns)
            if view.reading:
                rows = slice(view.first, view.rows)
                self.keys[rows, :, : view.columns] = key_states
                self.values[rows, :, : view.columns] = value_states
                return key_states, value_states
            at = (view.row_numbers, view.positions)
            self.keys.transpose(1, 2)[at] = key_states.transpose(1, 2)
            self.values.transpose(1, 2)[at] = value_states.transpose(1, 2)
            n, columns = view.rows, view.columns
            return self.keys[:n, :, :columns], self.values[:n, :, :columns]

        def get_seq_length(self) -> int:
            return 0 if view.reading else view.columns

    return Cache(layer_class_to_replicate=SlotLayer), view
