"""Finished texts, one prompt's or a file's. Frozen; nothing is computed here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class GenerateResult:
    """One generated text.

    Args:
        finish_reason: `stop` (the model ended the text), `stop_string` or `length`.
        seconds: time of the generation of all samples, without loading the model.
        revision: commit of a Hub model, else None.
        sample: which one of several, from 0.
        logprobs: one dict a token (token, id, logprob, top), where asked for.
        acceptance_rate: share of the guessed tokens that stood, where tokens were guessed.
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
    sample: int = 0
    logprobs: list[dict[str, Any]] | None = None
    acceptance_rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class BulkResult:
    """A finished bulk run.

    Args:
        rows: input rows.
        texts: output records, failed ones included.
        errors: failed ones.
        resumed: texts that an earlier, interrupted run had finished.
        n_new_tokens: tokens of the texts of this run.
        computed_per_token: tokens the model was run on, prompts included, for every token of
            prompts and texts: 1 when nothing was computed in vain.
        seconds: time of this run without loading the model.
        skipped_rows: failed rows that `on_error: skip` left out, as "file:line: why".
    """

    output: str
    rows: int
    texts: int
    errors: int
    resumed: int
    n_prompt_tokens: int
    n_new_tokens: int
    computed_per_token: float
    seconds: float
    tokens_per_second: float
    batch_size: int
    model: str
    revision: str | None
    acceptance_rate: float | None = None
    skipped_rows: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
