"""Token ids, one at a time -> text as soon as it is final, cut at the first stop string.

A character may be spread over several tokens; half of one decodes to U+FFFD and is held back, and
so is what may yet become a stop string. Only the last few tokens are decoded again for each new
one, so that a token costs the same at the end of a long text. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REPLACEMENT = "\ufffd"
CONTEXT = 16  # tokens decoded before the new one; some decoders look at what stands before it


class TextStream:
    """The text of one row.

    Args:
        tokenizer: decodes the ids.
        on_text: called with every piece of text as soon as it cannot change any more; the pieces
            joined are the text. None: nobody is watching.
        stops: strings that end the text and are not part of it. One is found with the token that
            completes it, however the tokens are cut.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        on_text: Callable[[str], None] | None = None,
        stops: Sequence[str] = (),
    ) -> None:
        self.tokenizer = tokenizer
        self.on_text = on_text
        self.stops = tuple(stops)
        self.ids: list[int] = []
        self.text = ""
        self._final = ""  # cannot change any more, but may begin a stop string
        self._tail = 0  # decoding begins with this token ...
        self._next_tail = 0  # ... and later with this one; both begin a whole character
        self._seen = ""  # text of the tail that is in `text` or `_final`

    def add(self, token: int) -> bool:
        """Take a token; whether a stop string is complete."""
        self.ids.append(token)
        if self.on_text is None and not self.stops:
            return False
        tail = self._decode(self.ids[self._tail :])
        found = self._final + tail[len(self._seen) :]
        at = self._stop(found)
        if at is not None:
            self._emit(found[:at])
            return True
        if not tail.endswith(REPLACEMENT):
            self._seen = tail
            held = len(found) - self._held_back(found)
            self._emit(found[:held])
            self._final = found[held:]
            self._move_on()
        return False

    def end(self) -> str:
        """Nothing more comes: hand out what was held back; the whole text."""
        whole = self._decode(self.ids)
        if whole.startswith(self.text):
            self._emit(whole[len(self.text) :])
        else:  # a decoder that takes back what it has said; what is on the screen stays
            self._emit(self._final + self._decode(self.ids[self._tail :])[len(self._seen) :])
        return self.text

    def _move_on(self) -> None:
        if len(self.ids) - self._next_tail >= CONTEXT and self._seen.strip():
            self._tail, self._next_tail = self._next_tail, len(self.ids)
            self._seen = self._decode(self.ids[self._tail :])

    def _stop(self, text: str) -> int | None:
        """Where the first stop string begins."""
        found = [at for at in map(text.find, self.stops) if at >= 0]
        return min(found) if found else None

    def _held_back(self, text: str) -> int:
        """Length of the longest end of `text` that begins a stop string."""
        longest = max((len(stop) for stop in self.stops), default=1) - 1
        for n in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-n:]) for stop in self.stops):
                return n
        return 0

    def _decode(self, ids: Sequence[int]) -> str:
        decoded: Any = self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(decoded)

    def _emit(self, piece: str) -> None:
        if piece:
            self.text += piece
            if self.on_text is not None:
                self.on_text(piece)
