"""Token ids, one at a time -> text as soon as it is final.

A character may be spread over several tokens; half of one decodes to U+FFFD and is held back.
Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

REPLACEMENT = "\ufffd"


class TextStream:
    """A streamer for `generate()`: the prompt's ids come first, then each new token.

    Args:
        tokenizer: decodes the ids.
        on_text: called with every piece of text as soon as it cannot change any more; the pieces
            joined are `text`.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, on_text: Callable[[str], None]) -> None:
        self.tokenizer = tokenizer
        self.on_text = on_text
        self.ids: list[int] = []
        self.text = ""
        self._prompt_seen = False

    def put(self, value: Tensor) -> None:
        """One call of generate(): (1, n) prompt ids first, later (1,) new ids."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        self.ids.extend(int(i) for i in value.reshape(-1).tolist())
        text = self._decode()
        if not text.endswith(REPLACEMENT):
            self._emit(text)

    def end(self) -> None:
        """Nothing more comes: hand out what was held back."""
        self._emit(self._decode())

    def _decode(self) -> str:
        decoded: Any = self.tokenizer.decode(
            self.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(decoded)

    def _emit(self, text: str) -> None:
        piece = text[len(self.text) :]
        if piece and text.startswith(self.text):
            self.text = text
            self.on_text(piece)
