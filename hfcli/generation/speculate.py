"""Guesses at the next tokens, which the model then checks all at once.

A guess never changes the text: a token stands only when the model, with the noise of that very
step, would have chosen it itself. (Leviathan et al. 2023; prompt lookup: Saxena 2023.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from hfcli.generation.batchable import open_decoder_state
from hfcli.generation.sampling import sample_tokens

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hfcli.fast.decoders import Decoder
    from hfcli.generation.row import Row

LONGEST_NGRAM = 3  # of transformers' max_matching_ngram_size 2, one more: fewer false starts
LOOKUP_TOKENS = 10
DRAFT_TOKENS = 4
FIRST_GUESS, LONGEST_GUESS = 4, 15  # with the token before them, 16 rows: one tile of a processor
LONGEST_PAUSE = 64


class Proposer(Protocol):
    """Proposes tokens that may follow, and learns how many of them were right."""

    def propose(self, row: Row, limit: int) -> list[int]: ...
    def learn(self, proposed: int, right: int) -> None: ...


class PromptLookup:
    """What followed the last time the last few tokens stood in the text.

    Args:
        shortest: fewest tokens that must be the same.
    """

    def __init__(self, shortest: int = 1) -> None:
        self.shortest = shortest
        self.tokens = LOOKUP_TOKENS
        self._after: dict[tuple[int, ...], int] = {}
        self._row: Row | None = None
        self._seen = 0  # tokens of it that are remembered

    def propose(self, row: Row, limit: int) -> list[int]:
        """Up to `limit` tokens after the latest earlier place of the last few tokens."""
        ids = row.ids
        self._remember(row, ids)
        for n in range(min(LONGEST_NGRAM, len(ids) - 1), self.shortest - 1, -1):
            at = self._after.get(tuple(ids[-n:]))
            if at is not None:
                return _going_on(ids, at, min(limit, self.tokens))
        return []

    def learn(self, proposed: int, right: int) -> None:
        """Whoever asks for guesses by name gets them always."""

    def _remember(self, row: Row, ids: Sequence[int]) -> None:
        """Where each run of tokens ended last, the end of the text apart."""
        if row is not self._row:
            self._after, self._row, self._seen = {}, row, 1
        for end in range(self._seen, len(ids)):
            for n in range(self.shortest, min(LONGEST_NGRAM, end) + 1):
                self._after[tuple(ids[end - n : end])] = end
        self._seen = len(ids)


class Repeats(PromptLookup):
    """Guesses that nobody asked for: longer while they come true, rarer while they do not.

    A pass over few tokens takes nearly as long as one over a single token, so that text which
    repeats itself (loops, lists, quotations, code) is written several times as fast; where
    guesses fail, pauses double, and little is lost.
    """

    def __init__(self) -> None:
        super().__init__(shortest=LONGEST_NGRAM)
        self.tokens = FIRST_GUESS
        self._pause = self._next_pause = 0

    def propose(self, row: Row, limit: int) -> list[int]:
        """As `PromptLookup.propose`, or nothing in a pause."""
        if self._pause:
            self._pause -= 1
            return []
        return super().propose(row, limit)

    def learn(self, proposed: int, right: int) -> None:
        """Take the next guess twice as long, or pause."""
        if right == proposed:
            self.tokens = min(2 * self.tokens, LONGEST_GUESS)
            self._next_pause = 0
        elif not right:
            self.tokens = FIRST_GUESS
            self._pause = self._next_pause = min(2 * self._next_pause + 1, LONGEST_PAUSE)


class DraftModel:
    """What a smaller model of the same vocabulary would write, with the same noise.

    Args:
        model: the draft.
        longest: most tokens it can read; a text that is longer goes on without guesses.
        decoder: its fused decoder, if any.
    """

    def __init__(
        self, model: PreTrainedModel, longest: int, decoder: Decoder | None = None
    ) -> None:
        self.longest = longest
        self.memory = open_decoder_state(model, longest, decoder)
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
            how = ([request.decoding], [request.seed], [step])
            token = sample_tokens(logits, *how, exact=False).tokens[0]
            drafted.append(token)
            if token in request.eos or len(drafted) == limit:
                break
            logits = self.memory.decode([[token]])[:, -1]
            self._read.append(token)
        return drafted

    def learn(self, proposed: int, right: int) -> None:
        """Nothing: a draft is asked for by name."""

    def _read_up_to(self, ids: Sequence[int]) -> Tensor:
        """Logits after `ids`; what the memory holds already is not read again."""
        common = 0
        while common < min(len(self._read), len(ids) - 1) and self._read[common] == ids[common]:
            common += 1
        if common and self.memory.truncate(0, common):
            logits = self.memory.decode([ids[common:]])[:, -1]
        else:
            if self.memory.lengths:
                self.memory.free(0)
            logits = self.memory.prefill([ids])
        self._read = list(ids)
        return logits


def _going_on(ids: Sequence[int], at: int, n: int) -> list[int]:
    """`n` tokens from `at` on; where the text ends, it is taken to go round."""
    period = len(ids) - at
    return [ids[at + i % period] for i in range(n)]
