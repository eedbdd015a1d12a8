"""Token ids, one at a time -> text as soon as it is final, cut at the first stop string.

A character may be spread over several tokens; half of one decodes to U+FFFD and is held back, and
so is what may yet become a stop string. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REPLACEMENT = "\ufffd"
SPARE = 8  # tokens of a tail beyond the stop string: a token may hold a third of a character


class TextStream:
    """The text of one row.

    Args:
        tokenizer: decodes the ids.
        on_text: called with every piece of text as soon as it cannot change any more; the pieces
            joined are the text. None: nobody is watching.
        stops: strings that end the text; the longest common time with their text is the moment
            the last of their tokens arrives, however the tokens are cut.
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
        self._window = max((len(s.encode()) for s in self.stops), default=0) + SPARE

    def add(self, token: int) -> bool:
        """Take a token; whether a stop string is complete."""
        self.ids.append(token)
        if self.stops and self._stop(self._decode(self.ids[-self._window :])) is not None:
            text = self._decode(self.ids)
            at = self._stop(text)
            if at is not None:
                self._emit(text[:at])
                self.text = text[:at]
                return True
        if self.on_text is not None:
            text = self._decode(self.ids)
            if not text.endswith(REPLACEMENT):
                self._emit(text[: len(text) - self._held_back(text)])
        return False

    def end(self) -> str:
        """Nothing more comes: hand out what was held back; the whole text."""
        text = self._decode(self.ids)
        self._emit(text)
        self.text = text
        return text

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

    def _emit(self, text: str) -> None:
        piece = text[len(self.text) :]
        if piece and text.startswith(self.text):
            self.text = text
            if self.on_text is not None:
                self.on_text(piece)
