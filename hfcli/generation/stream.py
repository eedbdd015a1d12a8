"""Token ids, one at a time -> text as soon as it is final, cut at the first stop string.

A character may be spread over several tokens; half of one decodes to U+FFFD and is held back, and
so is what may yet become a stop string. Only the last few tokens are decoded again for each new
one, so that a token costs the same at the end of a long text. Text is decoded after the end of the
prompt, so that prompt and text joined are what their tokens joined decode to: some decoders drop a
space at the beginning. Knows nothing about models.
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
            completes it, however the tokens are cut. Special tokens are no part of the text, but
            a stop string can be one, or contain some.
        prompt: ids of the tokens before the text.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        on_text: Callable[[str], None] | None = None,
        stops: Sequence[str] = (),
        prompt: Sequence[int] = (),
    ) -> None:
        self.tokenizer = tokenizer
        self.on_text = on_text
        self.stops = tuple(stops)
        self.ids: list[int] = []
        self.text = ""
        self._prompt = prompt
        self._before: tuple[list[int], str] | None = None  # end of the prompt, and its text
        self._special = special_tokens(tokenizer) if stops else {}
        # Cannot change any more, but may begin a stop string: characters, and whether each is text.
        self._final: list[tuple[str, bool]] = []
        self._tail = 0  # decoding begins with this token ...
        self._next_tail = 0  # ... and later with this one; both begin a whole character
        self._seen = ""  # text of the tail that is in `text` or `_final`

    def add(self, token: int) -> bool:
        """Take a token; whether a stop string is complete."""
        if not self.ids:
            self._seen = self._context()[1]
        self.ids.append(token)
        if self.on_text is None and not self.stops:
            return False
        tail = self._decode_from(self._tail)
        hidden = [(c, False) for c in self._special.get(token, "")]
        found = [*self._final, *((c, True) for c in tail[len(self._seen) :]), *hidden]
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
        whole = self._decode_from(0)[len(self._context()[1]) :]
        if whole.startswith(self.text):
            self._emit([(c, True) for c in whole[len(self.text) :]])
        else:  # a decoder that takes back what it has said; what is on the screen stays
            rest = self._decode_from(self._tail)[len(self._seen) :]
            self._emit([*self._final, *((c, True) for c in rest)])
        return self.text

    def _context(self) -> tuple[list[int], str]:
        """The end of the prompt that begins a whole character and has text, and that text."""
        if self._before is None:
            prompt = list(self._prompt)
            starts = range(len(prompt) - CONTEXT, max(0, len(prompt) - 2 * CONTEXT), -1)
            for start in (*starts, 0):
                ids = prompt[max(0, start) :]
                text = self._decode(ids)
                if start <= 0 or (text.strip() and not text.startswith(REPLACEMENT)):
                    break
            self._before = ids, text
        return self._before

    def _decode_from(self, start: int) -> str:
        """The text of the tokens from `start` on; the first ones after the end of the prompt."""
        return self._decode([*self._context()[0], *self.ids] if start == 0 else self.ids[start:])

    def _move_on(self) -> None:
        if len(self.ids) - self._next_tail >= CONTEXT and self._seen.strip():
            self._tail, self._next_tail = self._next_tail, len(self.ids)
            self._seen = self._decode_from(self._tail)

    def _stop(self, found: Sequence[tuple[str, bool]]) -> int | None:
        """Where the first stop string begins."""
        text = "".join(c for c, _ in found)
        places = [at for at in map(text.find, self.stops) if at >= 0]
        return min(places) if places else None

    def _held_back(self, found: Sequence[tuple[str, bool]]) -> int:
        """Length of the longest end of what was found that begins a stop string."""
        longest = max((len(stop) for stop in self.stops), default=1) - 1
        text = "".join(c for c, _ in found[-longest:]) if longest else ""
        for n in range(len(text), 0, -1):
            if any(stop.startswith(text[-n:]) for stop in self.stops):
                return n
        return 0

    def _decode(self, ids: Sequence[int]) -> str:
        decoded: Any = self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(decoded)

    def _emit(self, found: Sequence[tuple[str, bool]]) -> None:
        piece = "".join(c for c, is_text in found if is_text)
        if piece:
            self.text += piece
            if self.on_text is not None:
                self.on_text(piece)


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """Return the tokens that decoding skips, by id, with what they are written as."""
    added: Any = getattr(tokenizer, "added_tokens_decoder", {})
    found = {int(i): str(token.content) for i, token in added.items() if token.special}
    named: Any = getattr(tokenizer, "all_special_ids", ())
    return {**{int(i): str(tokenizer.convert_ids_to_tokens(i)) for i in named}, **found}
