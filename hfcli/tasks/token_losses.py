"""Logits over a vocabulary -> the negative log-likelihood of each scored token.

A row of logits has 50,000 numbers and more, which are needed in float32 for a moment only. Some
tokens at a time, they stay in the processor's cache and in the same memory; all at once they would
be fetched from the system anew for every text, which takes ten times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfcli.tasks.prepared import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

TOKENS_AT_ONCE = 64  # 13 MB in float32 for GPT-2's vocabulary; 2 to 128 take nearly the same time


def token_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """In nats, (scored tokens,) float32; each is what `cross_entropy` gives for the token alone.

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
        losses.append(torch.nn.functional.cross_entropy(part.float(), wanted, reduction="none"))
    return torch.cat(losses)
