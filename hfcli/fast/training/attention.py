"""Attention with dropout on a CPU, forward and backward.

torch has a fast kernel for attention without dropout; with it, as GPT-2 and BERT are trained, every
step is an operation of its own, in float32. This one keeps the number type of its inputs, and of a
layer what its gradients need: the probabilities before and after dropout. Each number of torch's
default generator decides for four elements with sixteen bits each, so that seeds and resumed runs
work as ever; the rate is exact to 1 in 65,536. The result is transformers' own, up to rounding.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from hfcli.fast.protocol import difference

if TYPE_CHECKING:
    from torch import Tensor

NAME = "hfcli_dropout"
STEPS = 1 << 16
BITS = 64 // 16  # elements a random number
NOTHING = 1e-9  # a rate above zero that drops nothing
# What `attention` computes with; whatever else transformers' own function names is left to it.
COMPUTED = {
    "module", "query", "key", "value", "attention_mask", "dropout", "scaling", "is_causal",
    "kwargs",
}  # fmt: skip


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

    alone = all(options.get(name) is None for name in _other_options())
    alike = query.shape == key.shape == value.shape
    if not dropout or not alone or not alike or query.device.type != "cpu":
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling,
            is_causal=is_causal, **options,
        )  # fmt: skip
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    mask = _added(query, attention_mask, causal and query.shape[2] > 1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    result: Tensor = _function().apply(query, key, value, mask, dropout, scale)
    return result.transpose(1, 2).contiguous(), None


def self_test() -> float:
    """Return the largest difference of values and slopes when nothing is dropped.

    Raises:
        AssertionError: as many elements are dropped as should not be.
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        for dtype in (torch.float32, torch.bfloat16):
            kept = drop(
                torch.ones(STEPS, dtype=dtype), keep_mask(torch.ones(STEPS, dtype=dtype), 0.25)
            )
            share = float(kept.float().mean())
            assert abs(share - kept_share(0.25)) < 0.02, f"{share:.3f} of 0.750 are kept"
        q, k, v = (torch.randn(2, 3, 5, 4, requires_grad=True) for _ in "qkv")
        module = torch.nn.Module()
        both = [
            attention(module, q, k, v, None, dropout=NOTHING)[0],
            sdpa_attention_forward(module, q, k, v, None, is_causal=True)[0],
        ]
        slopes = [torch.autograd.grad(found.square().sum(), (q, k, v)) for found in both]
    return max(difference(*both), *(difference(a, b) for a, b in zip(*slopes, strict=True)))


@functools.cache
def _other_options() -> tuple[str, ...]:
    """Names of options that decide what transformers' own function computes, and not this one."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    named = inspect.signature(sdpa_attention_forward).parameters
    return ("position_bias", "cache", "softcap", *(name for name in named if name not in COMPUTED))


def keep_mask(like: Tensor, rate: float) -> Tensor:
    """What `drop` takes: an element is kept with probability 1 - rate.

    Args:
        like: on the CPU; the mask has its shape.
        rate: of elements to drop, below 1.

    Returns:
        Bits to keep for numbers of sixteen bits, else booleans.
    """
    import torch

    count = like.numel()
    numbers = torch.empty(-(-count // BITS), dtype=torch.int64).random_(-(2**63), None)
    drawn = numbers.view(torch.int16)[:count].view(like.shape)
    lowest = round(rate * STEPS) - STEPS // 2
    if like.element_size() != drawn.element_size():
        return drawn >= lowest
    return torch.ge(drawn, lowest, out=drawn).neg_()  # 0 or -1, all bits


def drop(values: Tensor, keep: Tensor) -> Tensor:
    """`values`, zero where `keep` says so."""
    import torch

    if keep.dtype is torch.bool:
        return torch.where(keep, values, 0)
    return (values.view(keep.dtype) & keep).view(values.dtype)


def kept_share(rate: float) -> float:
    """The probability with which `keep_mask` keeps an element: 1 - rate, in 65,536ths."""
    return 1 - round(rate * STEPS) / STEPS


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
