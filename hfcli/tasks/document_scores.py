"""Documents in windows, and what the scores of their windows say of each document.

Token counts are exact; bytes and words are those of the text as given, shared out by what the
tokens of each window decode to, so that over all windows they are those of the document again.
Also joins windows to parts, by which one long document can be resampled. Knows nothing about
models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hfcli.tasks.base import Scores
from hfcli.tasks.documents import Document
from hfcli.tasks.prepared import IGNORE, Feature, Prepared
from hfcli.tasks.windows import Windows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Counts = tuple[int, int]  # bytes, words
PART_TOKENS = 256  # the least that a part scores: shorter ones are too much like their neighbours
Part = list[float]  # nll, n_tokens, n_bytes, n_words
FEW_DOCUMENTS = 10  # of fewer, predictions hold parts: there are too few documents to resample


def cut(
    definition: Windows, document: Document, tokenizer: PreTrainedTokenizerBase
) -> Iterator[Feature]:
    """The windows of a document that score something, with `n_bytes` and `n_words`.

    Args:
        definition: of the windows.
        document: as it was encoded.
        tokenizer: the document's.
    """
    skipped = 0 if definition.prefixes(tokenizer) else document.n_prefix
    places = range(skipped, len(document.ids))
    windows = [
        (window, scored)
        for window in definition.cut(places, document.supervised[skipped:])
        if (scored := [place for place in window["labels"] if place != IGNORE])
    ]
    counts = counts_of(document, [scored for _, scored in windows], tokenizer)
    for (window, _), (n_bytes, n_words) in zip(windows, counts, strict=True):
        read = [document.ids[place] for place in window["input_ids"]]
        if definition.bos_in_each and not skipped:
            read[0] = document.ids[0]
        labels = [place if place == IGNORE else document.ids[place] for place in window["labels"]]
        yield {"input_ids": read, "labels": labels, "n_bytes": n_bytes, "n_words": n_words}


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


def scores(prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Scores:
    """Sums of each document's windows.

    Args:
        prepared: the windows.
        reduced: of each, the sum of the losses in nats, and of how many tokens.
    """
    n_documents = prepared.counts.kept
    inputs: dict[str, list[Any]] = {
        "nll": [0.0] * n_documents,
        **{name: [0] * n_documents for name in ("n_tokens", "n_bytes", "n_words")},
    }
    columns = (prepared.column(name) for name in ("document", "n_bytes", "n_words"))
    for (nll, n_tokens), document, n_bytes, n_words in zip(reduced, *columns, strict=True):
        inputs["nll"][document] += nll
        inputs["n_tokens"][document] += int(n_tokens)
        inputs["n_bytes"][document] += n_bytes
        inputs["n_words"][document] += n_words
    return Scores(loss=sum(inputs["nll"]) / sum(inputs["n_tokens"]), inputs=inputs)


def outcomes(prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Iterator[dict[str, Any]]:
    """What is kept of each document, and, where there are few, of its parts; see `scores`."""
    origins: list[str] = []
    windows: list[list[Part]] = []
    names = ("document", "origin", "n_bytes", "n_words")
    columns = (prepared.column(name) for name in names)
    for row, document, origin, *counts in zip(reduced, *columns, strict=True):
        if document == len(origins):
            origins.append(origin)
            windows.append([])
        windows[document].append([*row, *counts])
    inputs = scores(prepared, reduced).inputs
    if len(origins) < FEW_DOCUMENTS:
        inputs["parts"] = [parts_of(each) for each in windows]
    for origin, *values in zip(origins, *inputs.values(), strict=True):
        yield {"origin": origin, **dict(zip(inputs, values, strict=True))}
