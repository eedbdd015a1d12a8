"""One text in the making: its tokens, its rules, and when it is done. Runs no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hfcli.generation.request import Finished, Request
from hfcli.generation.stream import TextStream

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


def without(logits: Tensor, never: Sequence[int]) -> Tensor:
    """(rows, vocabulary) logits in which some tokens cannot be."""
    import torch

    if not never:
        return logits
    return logits.index_fill(-1, torch.tensor(never, device=logits.device), -torch.inf)


class Row:
    """The state of a request.

    Args:
        request: what is wanted.
        tokenizer: of the model.
        on_text: called with the text as it grows.
    """

    def __init__(
        self,
        request: Request,
        tokenizer: PreTrainedTokenizerBase,
        on_text: Callable[[str], None] | None = None,
    ) -> None:
        self.request = request
        self.stream = TextStream(tokenizer, on_text, request.stops, request.ids)
        self.new: list[int] = []
        self.finish_reason: str | None = None
        self.constraint = request.constraint() if request.constraint else None

    @property
    def ids(self) -> list[int]:
        """All tokens, those of the prompt first."""
        return [*self.request.ids, *self.new]

    @property
    def is_ruled(self) -> bool:
        """Whether `rule` does more than leave out what no text has."""
        return bool(self.request.processors) or self.constraint is not None

    def rule(self, logits: Tensor) -> Tensor:
        """(1, vocabulary) logits with the request's processors and its grammar applied."""
        import torch

        logits = without(logits, self.request.never)
        if self.request.processors:
            ids = torch.tensor([self.ids], device=logits.device)
            for processor in self.request.processors:
                logits = processor(ids, logits)
        return self.constraint.mask(logits) if self.constraint else logits

    def take(self, token: int) -> None:
        """Add a token, and see whether the text is done."""
        self.new.append(token)
        if token in self.request.eos:
            self.finish_reason = "stop"
        elif self.stream.add(token):
            self.finish_reason = "stop_string"
        else:
            if self.constraint is not None:
                self.constraint.take(token)
                if self.constraint.is_complete():
                    self.finish_reason = "stop"
            if len(self.new) >= self.request.max_new_tokens:
                self.finish_reason = self.finish_reason or "length"
        if self.finish_reason not in (None, "stop_string"):
            self.stream.end()

    def fail(self) -> None:
        """End the text, which is not to be used."""
        self.finish_reason = "error"
        self.stream.end()

    def finished(self, logprobs: list[dict[str, Any]] | None = None) -> Finished:
        """The text, once `finish_reason` is set."""
        reason = self.finish_reason or "length"
        return Finished(self.request, tuple(self.new), self.stream.text, reason, logprobs)
