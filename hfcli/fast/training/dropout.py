"""Dropout on a CPU, four elements a random number.

torch draws a number of its own for every element, on one thread; in training that takes longer
than the matrix products. Here each number of torch's default generator gives four times sixteen
bits, so that seeds and resumed runs work as ever. The rate is exact to 1 in 65,536.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 1 << 16
BITS = 64 // 16  # elements a random number


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


def dropped(values: Tensor, rate: float) -> Tensor:
    """`values` with elements set to zero at random, and the others divided by the share kept."""
    result: Tensor = _function().apply(values, rate)
    return result


def _function(made: list[Any] = []) -> Any:  # noqa: B006 - one a process
    """The autograd function, made once, since it must subclass a torch class."""
    if made:
        return made[0]
    import torch

    class Dropped(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, values: Any, rate: float) -> Any:
            keep = keep_mask(values, rate)
            ctx.save_for_backward(keep)
            ctx.scale = 1 / kept_share(rate)
            return drop(values, keep).mul_(ctx.scale)

        @staticmethod
        def backward(ctx: Any, slope: Any) -> Any:
            (keep,) = ctx.saved_tensors
            return drop(slope, keep).mul_(ctx.scale), None

    made.append(Dropped)
    return Dropped
