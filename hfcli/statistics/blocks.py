"""Few long documents -> many units that can be drawn: blocks of consecutive windows.

Of one book there is no second one to draw. What can be asked is how well its score is known as
that of more text like it, and for that its parts are drawn. Parts that follow each other are
alike, so they are drawn in blocks (Künsch 1989; blocks here do not overlap, Carlstein 1986), whose
length grows with the cube root of their number (Hall, Horowitz and Jing 1995).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hfcli.statistics.weights import Inputs

COUNTS = ("nll", "n_tokens", "n_bytes", "n_words")  # of a part, in this order
LEAST_BLOCKS = 10


def blocks_of(documents: Sequence[Sequence[Sequence[float]]]) -> Inputs:
    """The inputs of metrics of language modelling, one value a block.

    Args:
        documents: of each, its parts in order; of each part, `COUNTS`.
    """
    length = block_length(sum(map(len, documents)))
    sums = [_sum(block) for parts in documents for block in _cut(parts, length)]
    return {name: [block[i] for block in sums] for i, name in enumerate(COUNTS)}


def block_length(parts: int) -> int:
    """Parts in a block: the cube root of their number, less where fewer than ten blocks came."""
    return max(1, min(round(math.cbrt(parts)), parts // LEAST_BLOCKS))


def _cut(parts: Sequence[Any], length: int) -> list[Sequence[Any]]:
    """Blocks of about equal size, none of which crosses the end of a document."""
    blocks = max(1, round(len(parts) / length))
    edges = [round(i * len(parts) / blocks) for i in range(blocks + 1)]
    return [parts[a:b] for a, b in pairwise(edges)]


def _sum(parts: Sequence[Sequence[float]]) -> list[float]:
    return [sum(values) for values in zip(*parts, strict=True)]
