"""What an engine must do: load a model, and turn a stream of requests into finished texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hfcli.generation.request import Counts, Finished, Request

if TYPE_CHECKING:
    from hfcli.generation.loading import ModelChoice
    from hfcli.models.load import ReadableModel
    from hfcli.results import Listener


@dataclass(frozen=True)
class EngineOptions:
    """What every engine is told.

    Args:
        choice: model, device and number type.
        batch_size: rows at a time; None: as the engine thinks best.
        prompt_lookup: guess from the text so far.
        draft_model: name of a model that guesses.
        listener: gets notes.
        one_stream: one text is wanted, and no other has to be equal to it.
        many: texts are wanted that do not depend on how they are batched, by the thousand.
    """

    choice: ModelChoice
    listener: Listener
    batch_size: int | None = None
    prompt_lookup: bool = False
    draft_model: str | None = None
    one_stream: bool = False
    many: bool = False


class Engine(Protocol):
    """A loaded model that writes.

    Args:
        loaded: tokenizer and configuration of the model (an engine may hold the weights itself).
        counts: what was done so far.
        beams: whether transformers' beam search can use the model.
    """

    counts: Counts
    beams: bool

    @property
    def loaded(self) -> ReadableModel: ...

    def run(
        self, requests: Iterable[Request], on_text: Callable[[str], None] | None = None
    ) -> Iterator[Finished]:
        """Finished texts as they come, in any order; requests are taken only as needed.

        Args:
            requests: what is wanted.
            on_text: called with the text of a single request as it grows.
        """
