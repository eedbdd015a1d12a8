"""How the rows of a model may be run, tried on the model at hand.

Architectures read masks, positions and caches in their own ways: eager attention adds what others
select by, local attention may count columns instead of positions. No list of names is complete, so
the loaded model reads a few short texts of unequal lengths together, and each alone. Where its
logits differ by more than rounding, rows run one at a time; and where a cache does not give the
logits of a text that is read from its start, there is none.
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hfcli.cache import remember, remembered
from hfcli.compat.transformers import attention_kind
from hfcli.device import out_of_memory
from hfcli.foreign import is_foreign
from hfcli.generation.one_row import OneRow, WholeRow
from hfcli.generation.slots import DecoderState, Slots
from hfcli.models.attention import plain_attention, windows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor
    from transformers import PreTrainedModel

    from hfcli.fast.decoders import Decoder

LENGTHS = (2, 23, 9)  # of the texts, in tokens
STEPS = 2  # passes over one more token of each text
GUESSES = 3  # tokens that are checked at once
LONGEST = 1024  # tokens of a text that is longer than a window, at most
TOLERANCE = {"torch.float32": 1e-4, "torch.float64": 1e-6}  # of the largest logit
SHORT_TYPES = 5e-2  # the same in 16 bits
CACHED = (9, 1, 1, 3)  # tokens of the passes that a cache is tried with
# Ways to run one row, the fastest first.
ONE_ROW: tuple[tuple[type[OneRow], dict[str, bool]], ...] = (
    (OneRow, {}),
    (OneRow, {"positions": True}),
    (OneRow, {"several": False}),
    (OneRow, {"several": False, "positions": True}),
    (WholeRow, {}),
)
REFUSED = (
    RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, NotImplementedError,
    AssertionError,
)  # fmt: skip


def open_decoder_state(
    model: PreTrainedModel,
    longest: int,
    decoder: Decoder | None = None,
    *,
    batch_invariant: bool = False,
    rows: int = 1,
) -> DecoderState:
    """Return the memory that fits the model, for rows of at most `longest` tokens.

    Args:
        decoder: the model's fused decoder; None: its modules.
        batch_invariant: see `Slots`.
        rows: most there will be, for libraries that want to know.
    """
    own = getattr(model, "open_decoder_state", None)
    if own is not None:  # weights that another library holds
        return own(rows)  # type: ignore[no-any-return]
    if not is_batchable(model, longest, decoder):
        return _one_row(model, longest)
    return Slots(model, decoder, batch_invariant=batch_invariant)


def is_batchable(model: PreTrainedModel, longest: int, decoder: Decoder | None = None) -> bool:
    """Return whether a row's logits are the same in a batch as alone, within rounding.

    Args:
        model: in eval mode.
        longest: tokens that a row may have.
        decoder: the model's fused decoder, which reads no mask of the model's.
    """
    if not plain_attention(model, longest):
        return False
    if decoder is not None:
        return True
    lengths = _lengths(model.config, longest)
    if lengths is None:
        return False
    return bool(_once("batchable", model, lengths, _tried, unsure=False))


def _one_row(model: PreTrainedModel, longest: int) -> OneRow:
    """The fastest memory for one row that gives the logits of a text read from its start."""
    size = max(1, min(sum(CACHED), longest - 1))
    place = _once("one-row", model, [size], _first_right, unsure=len(ONE_ROW) - 1)
    kind, options = ONE_ROW[int(place)]
    return kind(model, **options)


def _first_right(model: PreTrainedModel, lengths: Sequence[int]) -> int:
    """The place in ONE_ROW of the first that is right; the last where none can be."""
    for place, (kind, options) in enumerate(ONE_ROW[:-1]):
        with _refusals():
            if _cached_difference(kind(model, **options), lengths[0]) <= _tolerance(model):
                return place
    return len(ONE_ROW) - 1


def _cached_difference(rows: OneRow, size: int) -> float:
    import torch

    (text,) = _texts(rows.model, [size])
    found, start = [], 0
    for n in CACHED:
        part = text[start : start + n]
        if part:
            read = rows.decode([part]) if start else rows.prefill([part])[:, None]
            found.append(read[0])
        start += n
    expected = _alone(rows.model, text)[min(CACHED[0], size) - 1 :]
    return _difference(torch.cat(found), expected)


def _once(
    what: str,
    model: PreTrainedModel,
    lengths: Sequence[int],
    tried: Callable[[PreTrainedModel, Sequence[int]], int],
    *,
    unsure: int,
) -> int:
    """The result of a trial, made once for a model's type, settings, and libraries.

    Args:
        unsure: the result where memory ran out, which may be otherwise the next time.
    """
    import torch
    import transformers

    shape = json.dumps(model.config.to_diff_dict(), sort_keys=True, default=str)
    kind = [type(model).__name__, str(attention_kind(model.config)), str(model.dtype)]
    versions = [torch.__version__, transformers.__version__, model.device.type]
    key = [what, *kind, *versions, list(lengths), shape]
    stored = remembered("starts", key)
    if type(stored) not in (bool, int):
        try:
            with torch.inference_mode():
                stored = tried(model, lengths)
        except (RuntimeError, MemoryError) as e:
            if not out_of_memory(e):
                raise
            return unsure
        remember("starts", key, stored)
    return int(stored)


def _lengths(config: Any, longest: int) -> list[int] | None:
    """Tokens of each text, one longer than any window; None: a window is too long to be tried."""
    lengths = list(LENGTHS)
    for window in windows_of(config):
        if window >= longest - GUESSES - STEPS:
            continue
        if window > LONGEST:
            return None
        lengths[0] = max(lengths[0], window + LENGTHS[0])
    return [max(1, min(length, longest - GUESSES - STEPS - 1)) for length in lengths]


def _tried(model: PreTrainedModel, lengths: Sequence[int]) -> int:
    with _refusals():
        return int(_differ_at_most(model, lengths) <= _tolerance(model))
    return 0


def _tolerance(model: PreTrainedModel) -> float:
    return TOLERANCE.get(str(model.dtype), SHORT_TYPES)


@contextmanager
def _refusals() -> Iterator[None]:
    """Go on after an error of the model's own code: it does not take what was tried.

    Memory that runs out says nothing about the model, and passes.
    """
    try:
        yield
    except REFUSED as e:
        if out_of_memory(e) or not is_foreign(e):
            raise


def _differ_at_most(model: PreTrainedModel, lengths: Sequence[int]) -> float:
    """The largest difference between logits in a batch and alone, as a share of the largest."""
    import torch

    texts = _texts(model, [length + STEPS for length in lengths])
    slots = Slots(model)
    found = [slots.prefill([text[:n] for text, n in zip(texts, lengths, strict=True)])]
    if not slots.cache.layers:  # takes a cache, as all models do, and leaves it empty
        return math.inf
    for step in range(STEPS):
        read = slots.decode([[text[n + step]] for text, n in zip(texts, lengths, strict=True)])
        found.append(read[:, 0])
    together = torch.stack(found, 1)
    worst = 0.0
    for row, (text, n) in enumerate(zip(texts, lengths, strict=True)):
        worst = max(worst, _difference(together[row], _alone(model, text)[n - 1 :]))
    return max(worst, _guessed(model, texts[0]))


def _guessed(model: PreTrainedModel, text: Sequence[int]) -> float:
    """The same for several tokens of a single row, after wrong ones were taken back."""
    slots = Slots(model)
    start = len(text) - GUESSES
    slots.prefill([text[: max(1, start)]])
    slots.decode([text[:GUESSES]])
    slots.truncate(0, max(1, start))
    tail = text[max(1, start) :]
    return _difference(slots.decode([tail])[0], _alone(model, text)[-len(tail) :])


def _texts(model: PreTrainedModel, lengths: Sequence[int]) -> list[list[int]]:
    import torch

    random = torch.Generator().manual_seed(0)
    size = int(model.config.get_text_config().vocab_size)
    return [torch.randint(size, (length,), generator=random).tolist() for length in lengths]


def _alone(model: PreTrainedModel, text: Sequence[int]) -> Tensor:
    """(tokens, vocabulary) float32 logits of one text that is read from its start."""
    import torch

    network: Any = model
    ids = torch.tensor([list(text)], device=model.device)
    return network(input_ids=ids, use_cache=False).logits[0].float()  # type: ignore[no-any-return]


def _difference(found: Tensor, expected: Tensor) -> float:
    """NaN counts as no difference: it is not of the batch, and is reported where it is met."""
    largest = expected.abs().max().clamp(min=1e-6)
    return float(((found - expected).abs().max() / largest).nan_to_num(0.0))
