"""The dice of sampling: one number for every (seed, step, token), whatever else is computed.

Sampling is done by the Gumbel-max trick: `argmax(logits / T + g)` is distributed as
`softmax(logits / T)` when every g is drawn from the standard Gumbel distribution (Gumbel 1954;
Maddison et al. 2014, "A* Sampling"). Drawing g from a hash of where it is needed, and not from a
stream, is what lets a row have the same text in every batch, and a draft be checked token by
token without changing the text. Knows nothing about models.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MASK = 0xFFFFFFFF


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
