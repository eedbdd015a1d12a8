"""Logits over a vocabulary -> the negative log-likelihood of each scored token.

A row of logits has 50,000 numbers and more, which are needed in float32 for a moment only. Some
tokens at a time, they stay in the processor's cache and in the same memory; all at once they would
be fetched from the system anew for every text, which takes ten times as long.

torch's own `log_softmax` (and `cross_entropy`) add up the exponentials one after another in
float32: those too small for the sum so far are lost, and every loss over a large vocabulary comes
out low, by 7e-6 nats for 49,152 tokens. `Tensor.sum` adds in pairs, and loses nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hfcli.errors import RunError
from hfcli.tasks.prepared import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

TOKENS_AT_ONCE = 64  # 13 MB in float32 for GPT-2's vocabulary; 2 to 128 take nearly the same time


def token_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """In nats, (scored tokens,) float32, each as accurate as float32 logits are.

    Args:
        logits: of one text, (tokens, vocabulary), of any number type.
        labels: of the same tokens, (tokens,); IGNORE where nothing is scored.
    """
    import torch

    losses = [torch.empty(0, device=logits.device)]
    for start in range(0, len(labels), TOKENS_AT_ONCE):
        part, wanted = (
            logits[start : start + TOKENS_AT_ONCE],
            labels[start : start + TOKENS_AT_ONCE],
        )
        scored = wanted != IGNORE
        if not scored.all():
            part, wanted = part[scored], wanted[scored]
        part = part.float()
        highest, log_sum = _log_sum(part)
        losses.append((log_sum - (part.gather(-1, wanted[:, None]) - highest))[:, 0])
    return torch.cat(losses)


def log_softmax(logits: Tensor) -> Tensor:
    """Log-probabilities over the last dimension, by an exact sum.

    Args:
        logits: (..., vocabulary), float32 or wider.

    Returns:
        (..., vocabulary) nats; NaN in a row that holds NaN or +inf.
    """
    highest, log_sum = _log_sum(logits)
    return (logits - highest).sub_(log_sum)


def _log_sum(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The highest logit, and the logarithm of the sum of exp(logit - highest): (..., 1) each."""
    highest = logits.amax(-1, keepdim=True)
    return highest, (logits - highest).exp_().sum(-1, keepdim=True).log_()


class NanLogitsError(RunError):
    """A model's arithmetic has broken down, in one row at least."""


def nan_logits(where: str = "") -> NanLogitsError:
    """Return the error of a model whose arithmetic has broken down.

    Args:
        where: the row, where it is known.
    """
    return NanLogitsError(
        f"{where}: the model produced NaN logits" if where else "the model produced NaN logits",
        hint="--dtype float32, where a smaller type overflows; else the weights are damaged",
    )


def check_scores(rows: Iterable[tuple[Sequence[float], str]]) -> None:
    """Refuse scores that are NaN.

    Args:
        rows: the numbers of each row, and its place.

    Raises:
        RunError: a number is NaN.
    """
    for numbers, where in rows:
        if any(math.isnan(number) for number in numbers):
            raise nan_logits(where)
