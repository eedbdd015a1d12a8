"""The norm of all gradients together, in as few passes as it takes.

torch's own adds up a gradient of millions of elements in one float32 sum, on a CPU slower and off
by a thousandth; here each row has a sum of its own. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hfcli.fast.training.optimizer import scale_gradients

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 1e-6  # that torch adds to the norm, so that nothing is divided by zero


def clip_gradients(parameters: Iterable[Tensor], longest: float, optimizer: Any = None) -> Tensor:
    """Scale gradients so that the norm of all is at most `longest`; returns the norm before.

    As torch's `clip_grad_norm_`, but that gradients which are short enough are not touched, and
    that an optimizer of `hfcli.fast.training.optimizer` scales them itself.
    """
    import torch

    gradients = [_summed(p) for p in parameters if p.grad is not None]
    if not gradients:
        return torch.tensor(0.0)
    norm: Tensor = torch.linalg.vector_norm(torch.stack([_norm(each) for each in gradients]))
    share = longest / (norm + LEAST)
    if share < 1:
        scale_gradients(optimizer, gradients, share)
    return norm


def _summed(parameter: Tensor) -> Tensor:
    """A gradient that holds rows: each once, and of these the numbers."""
    gradient = parameter.grad
    assert gradient is not None
    if not gradient.is_sparse:
        return gradient
    parameter.grad = gradient.coalesce()
    return parameter.grad.values()


def _norm(gradient: Tensor) -> Tensor:
    import torch

    rows = torch.linalg.vector_norm(gradient, dim=-1) if gradient.dim() > 1 else gradient
    norm: Tensor = torch.linalg.vector_norm(rows).float()
    return norm
