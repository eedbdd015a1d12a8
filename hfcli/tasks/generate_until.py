"""generate-until: the model writes, and its text is compared with reference texts.

The name is lm-evaluation-harness' for it. Knows nothing about engines.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from hfcli.errors import DataError
from hfcli.tasks.question import Item, Question, Row, as_text


class GenerateUntil(Question):
    """Texts that are written, and compared with references."""

    name: Literal["generate-until"] = "generate-until"
    reference_column: str = Field(
        "reference", description="Column with the right text, or a list of texts that are right."
    )
    stop: tuple[str, ...] = Field((), description="Strings that end a text, not part of it.")
    system: str | None = Field(None, description="What a chat model is told before the prompt.")
    chat_template: bool | None = Field(
        None, description="Put the prompt into the model's chat template; default: if it has one."
    )
    generates: ClassVar[bool] = True

    @field_validator("stop")
    @classmethod
    def _no_empty_stop(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "" in value:
            raise ValueError("an empty string would end every text at once")
        return value

    def answer_columns(self) -> tuple[str, ...]:
        return (self.reference_column,)

    def metrics(self) -> tuple[str, ...]:
        return ("exact_match", "token_f1", "bleu", "chrf", "rouge1", "rouge2", "rougeL")

    def item(self, origin: str, row: Row) -> Item:
        value = row[self.reference_column]
        texts = [as_text(one) for one in (value if isinstance(value, list) else [value])]
        right = [text for text in texts if text is not None]
        if not right or len(right) < len(texts):
            raise DataError(
                f"{origin}: column {self.reference_column!r} must be a text or a list of texts,"
                f" found {'nothing' if value in (None, []) else type(value).__name__}"
            )
        gold = right if isinstance(value, list) else right[0]
        return Item(origin, self.prompt_of(origin, row), gold, right[0])
