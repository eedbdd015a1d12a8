"""Documents -> pieces that fit a training row. Knows nothing about rows of data or models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hfcli.errors import DataError, ModelError
from hfcli.tasks.documents import Document
from hfcli.tasks.prepared import IGNORE, Feature, Overflow, Tools

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def pieces(
    document: Document, origin: str, tools: Tools, size: int, overflow: Overflow
) -> Iterator[Feature]:
    """The training features of a document: one, or as `overflow` says when it is too long."""
    counts = tools.counts
    ids, supervised = document.ids, document.supervised
    if not document.closed:
        ids, supervised = [*ids, _eos(tools.tokenizer)], [*supervised, True]
    if len(ids) > size:
        if overflow == "error":
            raise DataError(
                f"{origin}: has {len(ids)} tokens, a block holds {size}",
                hint="data.on_overflow: split, truncate or drop go on",
            )
        if overflow == "drop":
            counts.dropped += 1
            return
        if overflow == "truncate":
            if not any(supervised[1:size]):
                counts.unsupervised += 1
                return
            counts.truncated += 1
            counts.cut_tokens += len(ids) - size
            ids, supervised = ids[:size], supervised[:size]
        else:
            counts.split += 1
    labels = [token if own else IGNORE for token, own in zip(ids, supervised, strict=True)]
    # A piece begins with the last token of the one before, so that every token is learned once.
    for start in range(0, max(1, len(ids) - 1), size - 1):
        own = [IGNORE, *labels[start + 1 : start + size]]
        learned = sum(label != IGNORE for label in own)
        if learned:
            counts.tokens += len(own)
            counts.supervised += learned
            yield {"input_ids": ids[start : start + size], "labels": own, "origin": origin}


def wrapped(
    documents: Iterator[tuple[str, Document]], tools: Tools, size: int
) -> Iterator[Feature]:
    """One stream of all documents, each closed by EOS, cut into blocks."""
    eos = _eos(tools.tokenizer)
    stream: list[int] = []
    first = ""
    for origin, document in documents:
        first = first or origin
        text = [i for i, own in zip(document.ids, document.supervised, strict=True) if own]
        stream += [*text, eos]
        while len(stream) >= size:
            yield _block(stream[:size], first, tools)
            stream, first = stream[size:], origin
    if len(stream) > 1:  # one token alone predicts nothing
        yield _block(stream, first, tools)


def _block(ids: list[int], origin: str, tools: Tools) -> Feature:
    tools.counts.tokens += len(ids)
    tools.counts.supervised += len(ids) - 1
    return {"input_ids": ids, "labels": [IGNORE, *ids[1:]], "origin": origin}


def _eos(tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "the tokenizer has no EOS token, so documents cannot be told apart",
            hint="set eos_token in its tokenizer_config.json",
        )
    return int(tokenizer.eos_token_id)
