"""Guesses at the next tokens, which the model then checks all at once.

A guess never changes the text: a token stands only when the model, with the noise of that very
step, would have chosen it itself. (Leviathan et al. 2023; prompt lookup: Saxena 2023.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from hfcli.generation.choose import choose
from hfcli.generation.slots import open_rows

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hfcli.generation.row import Row

LONGEST_NGRAM = 3  # of transformers' max_matching_ngram_size 2, one more: fewer false starts
LOOKUP_TOKENS = 10
DRAFT_TOKENS = 4


class Proposer(Protocol):
    """Proposes tokens that may follow."""

    def propose(self, row: Row, limit: int) -> list[int]: ...


class PromptLookup:
    """What followed the last time these tokens stood in the text."""

    def propose(self, row: Row, limit: int) -> list[int]:
        """Up to `limit` tokens after the latest earlier place of the last few tokens."""
        ids = row.ids
        for n in range(min(LONGEST_NGRAM, len(ids) - 1), 0, -1):
            at = _last_place(ids, ids[-n:])
            if at is not None:
                return ids[at + n : at + n + min(limit, LOOKUP_TOKENS)]
        return []


class DraftModel:
    """What a smaller model of the same vocabulary would write, with the same noise.

    Args:
        model: the draft.
        longest: most tokens it can read; a text that is longer goes on without guesses.
    """

    def __init__(self, model: PreTrainedModel, longest: int) -> None:
        self.longest = longest
        self.memory = open_rows(model, longest)
        self._read: list[int] = []

    def propose(self, row: Row, limit: int) -> list[int]:
        """Up to `limit` tokens the draft would choose."""
        drafted: list[int] = []
        request = row.request
        limit = min(limit, DRAFT_TOKENS, self.longest - len(row.ids))
        if limit <= 0:
            return []
        logits = self._read_up_to(row.ids)
        for _ in range(limit):
            step = len(row.new) + len(drafted)
            token = choose(logits, [request.decoding], [request.seed], [step]).tokens[0]
            drafted.append(token)
            if token in request.eos or len(drafted) == limit:
                break
            logits = self.memory.extend([[token]])[:, -1]
            self._read.append(token)
        return drafted

    def _read_up_to(self, ids: Sequence[int]) -> Tensor:
        """Logits after `ids`; what the memory holds already is not read again."""
        common = 0
        while common < min(len(self._read), len(ids) - 1) and self._read[common] == ids[common]:
            common += 1
        if common and self.memory.rewind(0, common):
            logits = self.memory.extend([ids[common:]])[:, -1]
        else:
            if self.memory.lengths:
                self.memory.leave(0)
            logits = self.memory.admit([ids])
        self._read = list(ids)
        return logits


def _last_place(ids: Sequence[int], ngram: Sequence[int]) -> int | None:
    n = len(ngram)
    for at in range(len(ids) - n - 1, -1, -1):
        if list(ids[at : at + n]) == list(ngram):
            return at
    return None
