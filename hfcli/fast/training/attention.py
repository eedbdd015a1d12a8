"""Attention with dropout on a CPU, forward and backward.

torch has a fast kernel for attention without dropout; with it, as GPT-2 and BERT are trained, every
step is an operation of its own, in float32. This one keeps the number type of its inputs, draws
dropout as `hfcli.fast.training.dropout` does, and keeps of a layer what its gradients need: the
probabilities before and after dropout. The result is transformers' own, up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfcli.fast.training.dropout import drop, keep_mask, kept_share

if TYPE_CHECKING:
    from torch import Tensor

NAME = "hfcli_dropout"


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """One of transformers' attention functions; without dropout, and where there is more to it
    than a mask, it is `sdpa`.

    Args:
        query, key, value: (batch, heads, tokens, width).
        attention_mask: None, or true where a token may look, (batch, 1, tokens, tokens).
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    plain = all(options.get(name) is None for name in ("position_bias", "cache", "softcap"))
    alike = query.shape == key.shape == value.shape
    if not dropout or not plain or not alike or query.device.type != "cpu":
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling,
            is_causal=is_causal, **options,
        )  # fmt: skip
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    mask = _added(query, attention_mask, causal and query.shape[2] > 1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    result: Tensor = _function().apply(query, key, value, mask, dropout, scale)
    return result.transpose(1, 2).contiguous(), None


def register() -> str:
    """Make it known to transformers, with the masks of `sdpa`; returns its name."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME


def _added(query: Tensor, mask: Tensor | None, causal: bool) -> Tensor | None:
    """What is added to the scores; a mask that is given says all there is to say."""
    import torch

    if mask is None and not causal:
        return None
    if mask is None:
        size = query.shape[2]
        mask = torch.ones(size, size, dtype=torch.bool).tril()[None, None]
    if mask.dtype is not torch.bool:
        return mask.to(query.dtype)
    # The smallest number, not -inf: a row that may look nowhere (padding) has no NaN.
    lowest = torch.finfo(query.dtype).min
    return torch.zeros(mask.shape, dtype=query.dtype).masked_fill_(~mask, lowest)


def _function(made: list[Any] = []) -> Any:  # noqa: B006 - one a process
    """The autograd function, made once, since it must subclass a torch class."""
    if made:
        return made[0]
    import torch

    class DroppedAttention(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, query: Any, key: Any, value: Any, mask: Any, rate: float, scale: float
        ) -> Any:
            scores = torch.matmul(query * scale, key.transpose(2, 3))
            if mask is not None:
                scores += mask
            weights = torch.softmax(scores, -1)
            kept = drop(weights, keep_mask(weights, rate))
            ctx.share, ctx.scale = kept_share(rate), scale
            ctx.save_for_backward(query, key, value, weights, kept)
            return torch.matmul(kept, value).div_(ctx.share)

        @staticmethod
        def backward(ctx: Any, slope: Any) -> Any:
            query, key, value, weights, kept = ctx.saved_tensors
            slope = slope / ctx.share
            for_value = torch.matmul(kept.transpose(2, 3), slope)
            # Of softmax, with what was dropped: kept * inner - weights * sum(kept * inner)
            inner = torch.matmul(slope, value.transpose(2, 3)).mul_(kept)
            inner.addcmul_(weights, inner.sum(-1, keepdim=True), value=-1)
            for_query = torch.matmul(inner, key).mul_(ctx.scale)
            for_key = torch.matmul(inner.transpose(2, 3), query).mul_(ctx.scale)
            return for_query, for_key, for_value, None, None, None

    made.append(DroppedAttention)
    return DroppedAttention
