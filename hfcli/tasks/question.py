"""Rows that are questions with a right answer: tasks that a model is asked, and not trained on.

A question says which columns it reads, how a row becomes a prompt, and what the right answer is;
how a model answers is for `hfcli.evaluation`. Knows nothing about files, models or tokens.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hfcli.errors import DataError
from hfcli.tasks.documents import not_text
from hfcli.tasks.prepared import MOST
from hfcli.tasks.templates import columns_of, fill_template

Row = Mapping[str, Any]
BETWEEN_EXAMPLES = "\n\n"  # lm-evaluation-harness' fewshot_delimiter


@dataclass(frozen=True)
class Item:
    """A row as it is asked.

    Args:
        origin: "file:line".
        prompt: without examples before it.
        gold: the right answer as predictions have it.
        answer: a right answer as text, for a row that is shown as an example.
        choices: texts to choose from, where there are any.
    """

    origin: str
    prompt: str
    gold: Any
    answer: str
    choices: tuple[str, ...] = ()


class Question(BaseModel):
    """The contract; one file a task, and its name in `AnyQuestion` in `hfcli.tasks`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: str
    prompt_column: str = Field("prompt", description="Column with the prompt.")
    template: str | None = Field(
        None, description="The prompt, with {column} for the row's values, instead of a column."
    )
    few_shot: str | None = Field(
        None, description="File with solved examples, of the same columns as the data."
    )
    num_fewshot: int = Field(0, ge=0, le=MOST, description="Examples before each prompt.")
    target_delimiter: str = Field(
        " ", description="Between a prompt and its answer, where neither has white space there."
    )
    generates: ClassVar[bool]  # whether the model writes its answer
    first_key: ClassVar[str] = "template"  # that names a column no other key does
    how_to_name: ClassVar[str] = (
        "--{flag} says which it is; if the file has no header line, --column-names names them"
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Question:
        if (self.few_shot is None) != (self.num_fewshot == 0):
            raise ValueError("few_shot (a file) and num_fewshot (above 0) go together")
        if self.template is not None and "prompt_column" in self.model_fields_set:
            raise ValueError("give either template or prompt_column")
        return self

    def prompt_columns(self) -> tuple[str, ...]:
        """Columns that the prompt is made from.

        Raises:
            RecipeError: the template's braces do not match.
        """
        return (self.prompt_column,) if self.template is None else tuple(columns_of(self.template))

    @abstractmethod
    def answer_columns(self) -> tuple[str, ...]:
        """Columns that say what is right."""

    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        return tuple(dict.fromkeys((*self.prompt_columns(), *self.answer_columns())))

    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of the shipped metrics that are computed by default."""

    @abstractmethod
    def item(self, origin: str, row: Row) -> Item:
        """A row that has all columns, as it is asked.

        Raises:
            DataError: a cell holds something else than it should.
        """

    def prompt_of(self, origin: str, row: Row) -> str:
        """The prompt of a row, without examples.

        Raises:
            DataError: it is no text.
        """
        name, values = self.prompt_column, dict(row)
        if self.template is not None:
            name, values = "template", {"template": fill_template(self.template, row)}
        problem = not_text(values, name)
        if problem is not None:
            raise DataError(f"{origin}: {problem}")
        return str(values[name])

    def joined(self, prompt: str, answer: str) -> str:
        """What stands after a prompt: the delimiter, where it is needed, and the answer."""
        apart = prompt[-1:].isspace() or answer[:1].isspace()
        return answer if apart else self.target_delimiter + answer

    def with_examples(self, examples: Sequence[Item], prompt: str) -> str:
        """The prompt after solved examples."""
        shown = [f"{one.prompt}{self.joined(one.prompt, one.answer)}" for one in examples]
        return BETWEEN_EXAMPLES.join([*shown, prompt])


def as_text(value: Any) -> str | None:
    """A text, or a number as text, since JSON has answers such as 42; else None."""
    if isinstance(value, str):
        return value if not_text({"": value}, "") is None else None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
