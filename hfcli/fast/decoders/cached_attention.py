"""Attention over the slots of a cache, for forward passes that leave reading to their caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfcli.fast.decoders.whole_texts import attend_alone

if TYPE_CHECKING:
    from torch import Tensor

    from hfcli.generation.slot_cache import View


class CachedAttention:
    """An `Attend` (see `hfcli.fast.decoders`) for the pass that a view was told of.

    Args:
        cache: keeps keys and values of every layer.
        mask: (rows, 1, tokens, columns), 0 where a query reads and -inf elsewhere; None: every
            query reads all, or, where the view says that texts start here, what came before it.
    """

    def __init__(self, cache: Any, view: View, mask: Tensor | None = None) -> None:
        self.cache, self.view, self.mask = cache, view, mask

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        from torch.nn.functional import scaled_dot_product_attention

        rows, tokens, heads, width = q.shape
        held = self.cache.update(k.transpose(1, 2), v.transpose(1, 2), layer)
        if self.view.reading:
            return attend_alone(layer, q, k, v, scale)
        shared = heads // k.shape[2]  # queries a head of keys
        k, v = held
        if shared == 1:
            out = scaled_dot_product_attention(q.transpose(1, 2), k, v, self.mask, scale=scale)
            return out.transpose(1, 2).reshape(rows, tokens, heads * width)
        # Queries of one head of keys stand together as if they were tokens: nothing is repeated.
        q = q.view(rows, tokens, -1, shared, width).permute(0, 2, 3, 1, 4)
        q = q.reshape(rows, -1, shared * tokens, width)
        mask = None if self.mask is None else self.mask.repeat(1, 1, shared, 1)
        out = scaled_dot_product_attention(q, k, v, mask, scale=scale)
        out = out.view(rows, -1, shared, tokens, width).permute(0, 3, 1, 2, 4)
        return out.reshape(rows, tokens, heads * width)


def additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask of truth values as torch's kernel wants it, made once for all layers.

    Args:
        mask: (rows, tokens, columns), True where a query reads.
        like: has the number type of the queries.
    """
    zeros = like.new_zeros(mask.shape)
    return zeros.masked_fill_(~mask, -float("inf"))[:, None]
