"""How many bytes and words of a document each of its windows scores.

Token counts are exact; bytes and words are those of the text as given, shared out by what the
tokens of each window decode to, so that over all windows they are those of the document again.
Also joins windows to parts, by which one long document can be resampled. Knows nothing about
models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hfcli.tasks.documents import Document

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Counts = tuple[int, int]  # bytes, words
PART_TOKENS = 256  # the least that a part scores: shorter ones are too much like their neighbours
Part = list[float]  # nll, n_tokens, n_bytes, n_words


def counts_of(
    document: Document, scored: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase
) -> list[Counts]:
    """Bytes and words of the text that each window scores.

    Args:
        document: as it was encoded.
        scored: of each window, the places in the document of the tokens it scores.
        tokenizer: the document's.
    """
    seen = {place for places in scored for place in places}
    left = [i for i, wanted in enumerate(document.supervised) if wanted and i not in seen]
    if len(scored) == 1 and not left:
        return [(document.n_bytes, document.n_words)]
    texts = [
        str(tokenizer.decode([document.ids[i] for i in places], clean_up_tokenization_spaces=False))
        for places in (*scored, left)
    ]
    of_bytes = shared(document.n_bytes, [len(text.encode()) for text in texts])
    of_words = shared(document.n_words, [len(text.split()) for text in texts])
    return list(zip(of_bytes, of_words, strict=True))[: len(scored)]


def shared(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole shares proportional to the weights."""
    of_all, before, given, shares = max(1, sum(weights)), 0, 0, []
    for weight in weights:
        before += weight
        upto = round(total * before / of_all)
        shares.append(upto - given)
        given = upto
    return shares


def parts_of(windows: Iterable[Part]) -> list[Part]:
    """Consecutive windows joined until they score enough; what is left joins the last part."""
    parts: list[Part] = []
    for window in windows:
        if parts and parts[-1][1] < PART_TOKENS:
            parts[-1] = _sum(parts[-1], window)
        else:
            parts.append(list(window))
    if len(parts) > 1 and parts[-1][1] < PART_TOKENS:
        last = parts.pop()
        parts[-1] = _sum(parts[-1], last)
    return parts


def _sum(one: Part, other: Part) -> Part:
    return [a + b for a, b in zip(one, other, strict=True)]
