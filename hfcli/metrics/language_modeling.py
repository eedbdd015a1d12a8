"""Metrics of language modelling, from the summed negative log-likelihood of each document.

Sums over documents come first and the division once: a mean of per-document perplexities is a
different number. Knows nothing about windows: the task says which tokens were scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hfcli.metrics.base import Metric

TOKEN_INPUTS: dict[str, type] = {"nll": float, "n_tokens": int}
BYTE_INPUTS: dict[str, type] = {"nll": float, "n_bytes": int}


def token_loss(nll: Sequence[float], n_tokens: Sequence[int]) -> float:
    """Mean negative log-likelihood of a scored token, in nats."""
    return math.fsum(nll) / sum(n_tokens)


def perplexity(nll: Sequence[float], n_tokens: Sequence[int]) -> float:
    """exp of `token_loss`; infinite where that overflows."""
    loss = token_loss(nll, n_tokens)
    return math.exp(loss) if loss < 700 else math.inf


def bits_per_byte(nll: Sequence[float], n_bytes: Sequence[int]) -> float:
    """Negative log2-likelihood per UTF-8 byte of the text as given (not of decoded tokens)."""
    return math.fsum(nll) / math.log(2) / sum(n_bytes)


METRICS = (
    Metric("perplexity", perplexity, TOKEN_INPUTS, False, "exp(total nll / scored tokens)."),
    Metric("bits_per_byte", bits_per_byte, BYTE_INPUTS, False, "total nll / ln 2 / UTF-8 bytes."),
)
