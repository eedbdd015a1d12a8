"""Documents -> training rows: pieces of long ones, and several short ones in one row.

`position_ids` that begin anew tell transformers where a document begins; it then masks the
others, as long as there is neither an attention mask nor a cache. Knows nothing about text.
"""

from __future__ import annotations

import bisect
import inspect
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from hfcli.errors import DataError, ModelError, RecipeError
from hfcli.foreign import forward_errors
from hfcli.tasks.documents import Document
from hfcli.tasks.prepared import IGNORE, Feature, Features, Overflow, Tools

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LEAK = 1e-3  # logits of a leak differ by tenths, those of rounding by millionths


def best_fit(lengths: Sequence[int], size: int) -> list[array[int]]:
    """Rows of documents by best-fit decreasing, as in "Fewer Truncations Improve Language
    Modeling" (Ding et al. 2024).

    Args:
        lengths: tokens of each document, none above `size`.
        size: tokens a row holds.

    Returns:
        Document numbers of each row; the longest documents come first.
    """
    import numpy as np

    longest_first = np.argsort(np.negative(lengths), kind="stable")
    rows: list[array[int]] = []  # 4 bytes a document, where lists would take 40
    by_room: dict[int, list[int]] = {}  # room -> rows that have it left
    rooms: list[int] = []  # the keys above that have rows, sorted
    for i in array("q", longest_first.tobytes()):
        at = bisect.bisect_left(rooms, lengths[i])
        if at == len(rooms):
            rows.append(array("i"))
            row, room = len(rows) - 1, size
        else:
            room = rooms[at]
            row = by_room[room].pop()
            if not by_room[room]:
                rooms.pop(at)
        rows[row].append(i)
        left = room - lengths[i]
        if left:
            if not by_room.setdefault(left, []):
                bisect.insort(rooms, left)
            by_room[left].append(row)
    return rows


class Packed(Features):
    """Rows of several documents, put together when they are asked for.

    Args:
        documents: features with input_ids and labels; a first label is never learned.
        rows: from `best_fit`.
    """

    def __init__(self, documents: Sequence[Feature], rows: Sequence[Sequence[int]]) -> None:
        self.documents = documents
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Feature: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Feature]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        import numpy as np

        parts = [self.documents[i] for i in self.rows[index]]
        labels = [np.array(part["labels"]) for part in parts]
        for own in labels:
            own[0] = IGNORE  # what it would be predicted from is another document
        return {
            "input_ids": np.concatenate([part["input_ids"] for part in parts]),
            "labels": np.concatenate(labels),
            "position_ids": np.concatenate([np.arange(len(own)) for own in labels]),
            "origin": ", ".join(part["origin"] for part in parts),
        }

    def column(self, name: str) -> list[Any]:
        """One value a row."""
        return [self[i][name] for i in range(len(self))]


def check_packing(model: PreTrainedModel) -> None:
    """Make sure that the model keeps packed documents apart, by two tiny ones.

    Raises:
        RecipeError: it does not.
    """
    import torch

    hint = "set task.packing to no (padding), or to wrapped (one stream of text)"
    network: Any = model
    if "position_ids" not in inspect.signature(network.forward).parameters:
        raise RecipeError("this model cannot keep packed documents apart", hint=hint)
    size = min(8, int(model.config.get_text_config().vocab_size))
    ids = torch.arange(size, device=model.device)[None]
    half = size // 2
    positions = torch.cat([torch.arange(half), torch.arange(size - half)])[None].to(model.device)
    training = model.training
    model.eval()
    with forward_errors(network), torch.inference_mode():
        packed = network(input_ids=ids, position_ids=positions, use_cache=False).logits[0, half:]
        alone = network(input_ids=ids[:, half:], use_cache=False).logits[0]
    model.train(training)
    difference = (packed.float() - alone.float()).abs().max().item()
    if difference > LEAK * max(1.0, alone.float().abs().max().item()):
        raise RecipeError(
            f"this model does not keep packed documents apart (logits differ by {difference:.3g})",
            hint=hint,
        )


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
