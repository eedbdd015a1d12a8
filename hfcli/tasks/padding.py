"""Whether padding changes what a model says of a row, tried on a row at hand.

Some encoders do not mask everything that they mix tokens by, such as ConvBERT's convolutions.
Their rows are scored with rows of the same length only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

MOST = 24  # columns of padding that are tried
TOLERANCE = {"torch.float32": 1e-4, "torch.float64": 1e-6}  # of the largest logit, or of 1
SHORT_TYPES = 5e-2  # the same in 16 bits
_known: WeakKeyDictionary[Module, bool] = WeakKeyDictionary()


def takes_padding(model: Any, row: dict[str, Tensor], more: int, pad_token_id: int) -> bool:
    """Return whether a model's logits are the same with columns of padding behind a row.

    Args:
        model: in eval mode; it is tried once.
        row: what the model reads of one row, (1, tokens) each, with its attention mask.
        more: columns of padding that the row gets in a batch.
        pad_token_id: fills input_ids.
    """
    if model not in _known:
        _known[model] = _is_same(model, row, min(more, MOST), pad_token_id)
    return _known[model]


def _is_same(model: Any, row: dict[str, Tensor], more: int, pad_token_id: int) -> bool:
    from torch.nn.functional import pad

    shape = row["input_ids"].shape
    padded = {
        name: pad(value, (0, more), value=pad_token_id if name == "input_ids" else 0)
        if value.shape == shape
        else value
        for name, value in row.items()
    }
    expected, found = (model(**inputs).logits.float() for inputs in (row, padded))
    if expected.ndim == 3:  # logits of every token: those of the padding count for nothing
        found = found[:, : expected.shape[1]]
    limit = TOLERANCE.get(str(model.dtype), SHORT_TYPES) * max(1.0, float(expected.abs().max()))
    return not float((found - expected).abs().max()) > limit  # NaN is reported where it is met
