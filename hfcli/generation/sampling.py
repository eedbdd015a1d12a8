"""Logits -> the next token of each row, and whether rounding could have changed it.

Tokens are sampled by the Gumbel-max trick: `argmax(logits / T + g)` is distributed as
`softmax(logits / T)` when every g is drawn from the standard Gumbel distribution (Gumbel 1954;
Maddison et al. 2014, "A* Sampling"). Drawing g from a hash of (seed, step, token), and not from a
stream, lets a row have the same text in every batch, and a draft be checked token by token without
changing the text.

A batch changes the last digits of a row's logits. A token is therefore sampled with a margin:
where another would win after an error of `tolerance`, the row is reported as ambiguous, and the
caller recomputes its logits for that row alone. The filters are those of transformers' logits
warpers, in their order: temperature, top_k, top_p, min_p. Knows nothing about models or text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfcli.tasks.logits import nan_logits

if TYPE_CHECKING:
    from torch import Tensor

FIRST_CANDIDATES = 256  # enough for most nucleus cuts; sorting a vocabulary takes milliseconds
MASK = 0xFFFFFFFF  # of 32 bits
RELATIVE_ERROR = 2e-5  # of the largest logit; float32 sums of a few thousand terms stay below it


@dataclass(frozen=True)
class SamplingParams:
    """How to sample one row's tokens; names and meaning are GenerationConfig's.

    Args:
        temperature: 0 is greedy.
        top_k: 0 is all.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0


@dataclass(frozen=True)
class Sampled:
    """The sampled tokens of a batch.

    Args:
        tokens: one id a row.
        ambiguous: rows whose token an error of the tolerance could change.
    """

    tokens: list[int]
    ambiguous: list[int]


def sample_tokens(
    logits: Tensor,
    rows: Sequence[SamplingParams],
    seeds: Sequence[int],
    steps: Sequence[int],
    *,
    exact: bool = True,
) -> Sampled:
    """Sample one token a row.

    Args:
        logits: (rows, vocabulary) float32; -inf for tokens that cannot be.
        rows: settings of each row.
        seeds: seed of each row.
        steps: how many tokens each row has generated.
        exact: look for ambiguous rows.

    Raises:
        RunError: the model's arithmetic has broken down.
    """
    import torch

    largest = logits.max(-1).values
    if bool((~torch.isfinite(largest)).any()):
        raise nan_logits()
    tolerance = _tolerance(logits, largest) if exact else torch.zeros_like(largest)
    tokens = [0] * len(rows)
    ambiguous: list[int] = []
    for kind, indices in _by_kind(rows).items():
        part = logits if len(indices) == len(rows) else logits[indices]
        if kind == "greedy":
            found, safe = _greedy(part, tolerance[indices] if exact else None)
        else:
            numbers = ([rows[i] for i in indices], [seeds[i] for i in indices])
            at = [steps[i] for i in indices]
            found, safe = _sample(part, *numbers, at, tolerance[indices])
        for i, token, ok in zip(indices, found.tolist(), safe.tolist(), strict=True):
            tokens[i] = token
            if not ok:
                ambiguous.append(i)
    return Sampled(tokens, sorted(ambiguous))


def _by_kind(rows: Sequence[SamplingParams]) -> dict[str, list[int]]:
    kinds: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        kinds.setdefault("sample" if row.temperature > 0 else "greedy", []).append(i)
    return kinds


def _tolerance(logits: Tensor, largest: Tensor) -> Tensor:
    """(rows,) errors that rounding can have made."""
    import torch

    smallest = logits.min(-1).values
    if bool(torch.isinf(smallest).any() | torch.isinf(largest).any()):
        finite = torch.where(torch.isinf(logits), 0.0, logits)
        smallest, largest = finite.min(-1).values, finite.max(-1).values
    return RELATIVE_ERROR * torch.maximum(-smallest, largest).clamp(min=1.0)


def _greedy(logits: Tensor, tolerance: Tensor | None) -> tuple[Tensor, Tensor]:
    import torch

    first = logits.max(-1, keepdim=True)
    ids = first.indices[:, 0]
    if tolerance is None:
        return ids, torch.ones_like(ids, dtype=torch.bool)
    second = logits.scatter(-1, first.indices, -torch.inf).max(-1).values
    return ids, first.values[:, 0] - second > tolerance


def _sample(
    logits: Tensor,
    rows: Sequence[SamplingParams],
    seeds: Sequence[int],
    steps: Sequence[int],
    tolerance: Tensor,
) -> tuple[Tensor, Tensor]:
    import torch

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=logits.device)[:, None]

    temperature = column([row.temperature for row in rows])
    scores = logits / temperature
    slack = tolerance[:, None] / temperature
    if any(row.top_k or row.top_p < 1 or row.min_p for row in rows):
        top_k = column([row.top_k or logits.shape[-1] for row in rows])
        top_p = column([row.top_p for row in rows])
        min_p = column([row.min_p for row in rows])
        total = torch.logsumexp(scores, -1, keepdim=True)
        total = torch.where(top_k < logits.shape[-1], torch.nan, total)
        scores, ids = _candidates(scores, top_k, top_p, min_p)
        kept, surely, maybe = _filters(scores, slack, top_k, top_p, min_p, total)
    else:
        ids = torch.arange(logits.shape[-1], device=logits.device).expand(len(rows), -1)
        kept = surely = maybe = torch.isfinite(scores)
    whole = torch.tensor([seeds, steps], dtype=torch.int64, device=logits.device)
    noisy = scores + gumbel(whole[0], whole[1], ids)
    winner = noisy.masked_fill(~kept, -torch.inf).argmax(-1, keepdim=True)
    # Sure: it wins among all that may be in, by more than the error, and is in for certain.
    rival = noisy.masked_fill(~maybe, -torch.inf).scatter(-1, winner, -torch.inf).amax(-1)
    lead = noisy.gather(-1, winner)[:, 0] - rival
    safe = (lead > slack[:, 0]) & surely.gather(-1, winner)[:, 0]
    return ids.gather(-1, winner)[:, 0], safe


def _candidates(
    scores: Tensor, top_k: Tensor, top_p: Tensor, min_p: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores and ids in falling order, as many as the filters could keep, and some more."""
    import torch

    size = scores.shape[-1]
    largest_k = int(top_k.max())
    n = min(size, (largest_k if largest_k < size else FIRST_CANDIDATES) + 8)
    values, ids = scores.topk(n, dim=-1)
    if n < size and largest_k >= size:
        mass = (torch.logsumexp(values, -1) - torch.logsumexp(scores, -1)).exp()[:, None]
        last = (values[:, -1:] - values[:, :1]).exp()
        enough = ((top_p < 1) & (mass > top_p + 0.01)) | ((min_p > 0) & (last < min_p * 0.9))
        enough |= top_k < n - 1
        if not bool(enough.all()):
            values, ids = scores.sort(dim=-1, descending=True)
    return values, ids


def _filters(
    scores: Tensor, slack: Tensor, top_k: Tensor, top_p: Tensor, min_p: Tensor, total: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Which of the sorted candidates are in; which are in, and may be in, whatever the error.

    `total` is the logarithm of what shares are shares of, candidates or not: the whole vocabulary.
    NaN: it is what `top_k` leaves, all of which are candidates.
    """
    import torch

    rank = torch.arange(scores.shape[-1], device=scores.device)[None]
    kept = (rank < top_k) & torch.isfinite(scores)
    left = scores.masked_fill(~kept, -torch.inf)
    total = torch.where(torch.isnan(total), torch.logsumexp(left, -1, keepdim=True), total)
    shares = (left - total).exp()
    before = shares.cumsum(-1) - shares  # of the tokens above
    inside = (before < top_p) | (rank == 0) | (top_p >= 1)
    likely = scores - scores[:, :1] >= torch.log(min_p)  # log(0) = -inf keeps all
    in_ = kept & inside & likely
    # Near either border of the kept set, the order itself may be an accident.
    last_in = scores.masked_fill(~in_, torch.inf).amin(-1, keepdim=True)
    first_out = scores.masked_fill(in_, -torch.inf).amax(-1, keepdim=True)
    near_p = ((before - top_p).abs() < slack) & (top_p < 1)
    near_min = (scores - scores[:, :1] - torch.log(min_p)).abs() < 2 * slack
    surely = in_ & (scores > first_out + 2 * slack) & ~near_p & ~near_min
    surely |= in_ & (rank == 0) & (scores > first_out + 2 * slack)
    maybe = in_ | (scores >= last_in - 2 * slack) | ((near_p | near_min) & (rank < top_k))
    return in_, surely, maybe & torch.isfinite(scores)


def row_seed(seed: int, row_id: str, sample: int) -> int:
    """The seed of one text of a bulk run, 0 to 2**32 - 1, from the run's seed, row and sample."""
    key = f"{seed}\0{row_id}\0{sample}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big")


def gumbel(seeds: Tensor, steps: Tensor, tokens: Tensor) -> Tensor:
    """Standard Gumbel noise, float32, of the shape of `tokens`.

    Args:
        seeds: (rows,) int64, the seed of each row.
        steps: (rows,) int64, how many tokens the row has generated.
        tokens: (rows, n) int64 token ids.
    """
    import torch

    key = _mix(_mix(seeds & MASK) ^ (steps & MASK))
    bits = _mix(_mix(tokens ^ key[:, None]) + 0x9E3779B9 + key[:, None])
    uniform = (bits.to(torch.float64) + 0.5) / 2**32
    return (-torch.log(-torch.log(uniform))).to(torch.float32)


def _mix(x: Tensor) -> Tensor:
    """A permutation of 32-bit numbers with low bias (Wellons 2018, "lowbias32")."""
    x = x & MASK
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK
    return x ^ (x >> 16)
