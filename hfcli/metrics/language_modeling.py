"""Metrics of language modelling, from the summed negative log-likelihood of each document.

Sums over documents come first and the division once: a mean of per-document perplexities is a
different number. Each is nan where there is nothing to divide by. Knows nothing about windows: the
task says which tokens were scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from hfcli.metrics.base import Metric, mean
from hfcli.statistics import studentised, sums
from hfcli.statistics.form import Form, mean_form
from hfcli.statistics.weights import Array, Inputs

TOKEN_INPUTS: dict[str, type] = {"nll": float, "n_tokens": int}
WORD_INPUTS: dict[str, type] = {"nll": float, "n_words": int}
BYTE_INPUTS: dict[str, type] = {"nll": float, "n_bytes": int}


def token_loss(nll: Sequence[float], n_tokens: Sequence[int]) -> float:
    """Mean negative log-likelihood of a scored token, in nats."""
    return _share(nll, n_tokens)


def perplexity(nll: Sequence[float], n_tokens: Sequence[int]) -> float:
    """exp of `token_loss`; infinite where that overflows."""
    return _exp(token_loss(nll, n_tokens))


def word_perplexity(nll: Sequence[float], n_words: Sequence[int]) -> float:
    """exp(total nll / words), a word being what stands between white space; may be infinite.

    Does not depend on the tokenizer, as `perplexity` does.
    """
    return _exp(_share(nll, n_words))


def bits_per_byte(nll: Sequence[float], n_bytes: Sequence[int]) -> float:
    """Negative log2-likelihood per UTF-8 byte of the text as given (not of decoded tokens)."""
    return _share(nll, n_bytes) / math.log(2)


def _share(nll: Sequence[float], units: Sequence[int]) -> float:
    total = sum(units)
    return math.fsum(nll) / total if total else math.nan


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _losses(inputs: Inputs) -> Array:
    return sums.floats(inputs["nll"])


def _ratio_form(
    units: str, transform: Callable[[Array], Array], back: Callable[[float], float]
) -> Form:
    """Of total nll / total of `units`: what the metric is of it, of arrays and of a number."""
    return Form(
        weighted=sums.ratio("nll", units, transform),
        scaled=lambda inputs: studentised.ratio(inputs["nll"], inputs[units], back),
        of_documents=True,
    )


METRICS = (
    Metric(
        "perplexity",
        perplexity,
        TOKEN_INPUTS,
        False,
        "exp(total nll / scored tokens).",
        _ratio_form("n_tokens", sums.exp, studentised.exp),
    ),
    Metric(
        "word_perplexity",
        word_perplexity,
        WORD_INPUTS,
        False,
        "exp(total nll / words).",
        _ratio_form("n_words", sums.exp, studentised.exp),
    ),
    Metric(
        "bits_per_byte",
        bits_per_byte,
        BYTE_INPUTS,
        False,
        "total nll / ln 2 / UTF-8 bytes.",
        _ratio_form("n_bytes", sums.per_bit, studentised.per_bit),
    ),
)
# What `loss` is, which every evaluation has: of tokens, and of rows.
TOKEN_LOSS = Metric(
    "token_loss",
    token_loss,
    TOKEN_INPUTS,
    False,
    "Nats a token.",
    _ratio_form("n_tokens", sums.same, studentised.same),
)
ROW_LOSS = Metric(
    "row_loss",
    lambda nll: mean(nll),
    {"nll": float},
    False,
    "Nats a row.",
    mean_form(_losses, studentised.mean),
)
