"""What engines take and return: requests and finished texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from hfcli.generation.sampling import SamplingParams

if TYPE_CHECKING:
    from torch import Tensor

FINISH_REASONS = ("stop", "stop_string", "length", "error")


class Constraint(Protocol):
    """The state of a grammar after the tokens so far; see `hfcli.generation.structured`."""

    def mask(self, logits: Tensor) -> Tensor: ...
    def take(self, token: int) -> None: ...
    def is_complete(self) -> bool: ...


@dataclass(frozen=True)
class Request:
    """A request for one text.

    Args:
        number: place in the output, from 0.
        ids: token ids of the prompt, at least one.
        seed: decides the text together with prompt and settings, and nothing else does.
        decoding: how tokens are chosen.
        max_new_tokens: longest text in tokens.
        eos: token ids that end the text.
        stops: strings that end it, and are not part of it.
        logprobs: how many alternatives to report a token, 0 for none but the token; None: no
            log-probabilities at all.
        processors: transformers' LogitsProcessors, `(input_ids, scores) -> scores`.
        never: token ids that no text has.
        may_fail: NaN logits end this text, with the reason `error`, instead of the run.
        constraint: makes the state of a grammar, for texts that must follow one.
    """

    number: int
    ids: tuple[int, ...]
    seed: int
    decoding: SamplingParams
    max_new_tokens: int
    eos: frozenset[int] = frozenset()
    stops: tuple[str, ...] = ()
    logprobs: int | None = None
    processors: Sequence[Callable[[Any, Any], Any]] = ()
    never: tuple[int, ...] = ()
    may_fail: bool = False
    constraint: Callable[[], Constraint] | None = None


@dataclass(frozen=True)
class Finished:
    """A finished text.

    Args:
        ids: the new tokens, with the one that ended the text.
        finish_reason: `stop` (the model ended it), `stop_string`, `length`, or `error`.
        logprobs: one dict a token: token, id, logprob, and top, a list of such dicts.
    """

    request: Request
    ids: tuple[int, ...]
    text: str
    finish_reason: str
    logprobs: list[dict[str, Any]] | None = None


@dataclass
class Counts:
    """Counters of an engine.

    Args:
        computed: tokens that the model was run on.
        prompt: tokens of the prompts, each counted once.
        new: tokens of the texts.
        drafted: tokens proposed by a draft.
        accepted: those of them that the model would have written itself.
    """

    computed: int = 0
    prompt: int = 0
    new: int = 0
    drafted: int = 0
    accepted: int = 0
    batch_size: int = 0
    notes: list[str] = field(default_factory=list)

    def acceptance_rate(self) -> float | None:
        """Return the share of draft tokens that were accepted; None without drafts."""
        return self.accepted / self.drafted if self.drafted else None
