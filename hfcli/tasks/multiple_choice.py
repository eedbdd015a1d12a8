"""multiple-choice: which of a row's texts the model finds likeliest after the prompt.

Knows nothing about tokens or models.
"""

from __future__ import annotations

import json
import string
from typing import Any, ClassVar, Literal

from pydantic import Field

from hfcli.errors import DataError
from hfcli.shown import shown
from hfcli.tasks.question import Item, Question, Row, as_text

MOST_DIGITS = 100  # of the number of a choice


class MultipleChoice(Question):
    """The likeliest of several texts, by log-likelihood."""

    name: Literal["multiple-choice"] = "multiple-choice"
    choices_column: str = Field(
        "choices", description="Column with the texts to choose from: a list, in csv as JSON."
    )
    label_column: str = Field(
        "label", description="Column with the right one: its number from 0, its letter or its text."
    )
    generates: ClassVar[bool] = False

    def answer_columns(self) -> tuple[str, ...]:
        return (self.choices_column, self.label_column)

    def metrics(self) -> tuple[str, ...]:
        return ("acc", "acc_norm")

    def item(self, origin: str, row: Row) -> Item:
        choices = self._choices(origin, row[self.choices_column])
        right = self._right(origin, row[self.label_column], choices)
        return Item(origin, self.prompt_of(origin, row), right, choices[right], choices)

    def _choices(self, origin: str, value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                value = None
        if not isinstance(value, list) or len(value) < 2:
            raise DataError(
                f"{origin}: column {self.choices_column!r} must be a list of two texts or more",
                hint='in csv, a list is written as JSON: ["yes", "no"]',
            )
        texts = [as_text(one) for one in value]
        for text, given in zip(texts, value, strict=True):
            if not text:
                raise DataError(
                    f"{origin}: column {self.choices_column!r} must hold texts,"
                    f" found {shown(given)}"
                )
        return tuple(text for text in texts if text)

    def _right(self, origin: str, label: Any, choices: tuple[str, ...]) -> int:
        """Number of the right choice; a label that could be two of them is an error.

        Raises:
            DataError: none of the choices, or more than one.
        """
        if isinstance(label, int) and not isinstance(label, bool):
            found = {label} if 0 <= label < len(choices) else set()
        else:
            found = _meanings(str(label).strip(), choices)
        if len(found) == 1:
            return found.pop()
        where = f"{origin}: column {self.label_column!r}: {shown(label)}"
        if not found:
            raise DataError(
                f"{where} is none of the {len(choices)} choices {shown(list(choices))}",
                hint=f"give a number from 0 to {len(choices) - 1}, a letter, or the text",
            )
        raise DataError(
            f"{where} could be choice {' or '.join(map(str, sorted(found)))} (numbers, letters and"
            " texts of choices are all read)",
            hint="a number in json or jsonl, without quotes, is always the place from 0",
        )


def _meanings(label: str, choices: tuple[str, ...]) -> set[int]:
    """Every choice that a text can mean: by text, by number from 0, by letter."""
    found = {i for i, text in enumerate(choices) if text.strip() == label}
    if label.isdecimal() and len(label) < MOST_DIGITS and int(label) < len(choices):
        found.add(int(label))
    letter = string.ascii_uppercase.find(label.upper()) if len(label) == 1 else -1
    if 0 <= letter < len(choices):
        found.add(letter)
    return found
