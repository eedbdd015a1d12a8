"""What a run tells while it goes (events) and when it is done (results). Frozen; no behaviour.

Work functions hand events to a `Listener` and return a result; only `hfcli.render` turns either
into text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Note:
    """A sentence the user should read: a choice made for them, rows shortened or left out."""

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
class RowsScored:
    """Rows done of an evaluation."""

    done: int
    total: int


@dataclass(frozen=True)
class TextPiece:
    """The next piece of generated text, raw; it may hold anything a model can emit."""

    text: str


Event = Note | TrainingStarted | StepDone | Evaluated | RowsScored | TextPiece
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class GenerateResult:
    """One generated text.

    Args:
        finish_reason: `stop` (the model ended the text) or `length`.
        seconds: time of the generation without loading the model.
        revision: commit of a Hub model, else None.
    """

    prompt: str
    text: str
    finish_reason: str
    n_prompt_tokens: int
    n_new_tokens: int
    seconds: float
    tokens_per_second: float
    model: str
    revision: str | None
    seed: int
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class FinetuneResult:
    """A finished training run.

    Args:
        train_loss: mean loss since the logging step before the last; None without one.
        metrics: scores of the saved model on the validation split.
        seconds: time of the training loop.
        try_next: commands that use the model, with `{folder}` where its folder goes.
    """

    task: str
    model: str
    revision: str | None
    output_dir: str
    steps: int
    epochs: float
    train_rows: int
    train_loss: float | None
    metrics: dict[str, float]
    tokens_seen: int
    seconds: float
    seed: int
    device: str
    bf16: bool
    try_next: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class EvalResult:
    """Scores of a model on a split.

    Args:
        metrics: name -> value; a matrix is a list of rows (true labels) in the order of `labels`.
        seconds: time of the scoring without loading the model.
    """

    task: str
    model: str
    revision: str | None
    data: str
    split: str
    n_rows: int
    metrics: dict[str, float]
    seconds: float
    device: str
    labels: list[str] | None = None
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
