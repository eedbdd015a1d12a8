"""What a run tells while it goes: events, and who listens. Frozen; nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """A sentence the user should read: a choice made for them, rows shortened or left out."""

    text: str


@dataclass(frozen=True)
class Choice:
    """Something chosen for speed on this machine, and why; told to those who ask."""

    text: str


@dataclass(frozen=True)
class TrainingStarted:
    """The run is about to take its first step; `done` is above 0 on a resume."""

    total_steps: int
    done: int
    train_rows: int
    trainable_parameters: int


@dataclass(frozen=True)
class StepDone:
    """An optimizer step is over; `loss` and `learning_rate` only at logging steps."""

    step: int
    total_steps: int
    tokens_per_second: float
    loss: float | None = None
    learning_rate: float | None = None


@dataclass(frozen=True)
class Evaluated:
    """Scores of the validation split at a step."""

    step: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class SampleWritten:
    """What the model in training wrote after one of the recipe's prompts."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True)
class RowsScored:
    """Rows done of an evaluation."""

    done: int
    total: int


@dataclass(frozen=True)
class TextPiece:
    """The next piece of generated text, raw; it may hold anything a model can emit."""

    text: str


@dataclass(frozen=True)
class TextsDone:
    """Where a bulk run stands.

    Args:
        texts: finished ones, those of an earlier run included.
        total: how many there will be, where that is known.
        tokens_per_second: of this run.
        errors: rows that failed.
    """

    texts: int
    total: int | None
    tokens_per_second: float
    errors: int


Event = (
    TextsDone
    | SampleWritten
    | Note
    | Choice
    | TrainingStarted
    | StepDone
    | Evaluated
    | RowsScored
    | TextPiece
)
Listener = Callable[[Event], None]
