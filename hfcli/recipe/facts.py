"""What is known of data and of a model before there is a recipe for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hfcli.tasks.base import Task


@dataclass(frozen=True)
class DataFacts:
    """What was seen in the data.

    Args:
        task: the task that reads it.
        keys: key of the task -> column.
        files: split -> files or globs as the user named them; `train` is there.
        rows: of the training files, as far as they were read.
        complete: whether they were read to the end.
        texts: what a model reads of a sample of the rows.
        mean_lengths: column that a model reads -> characters a row on average.
        labels: label -> rows, the commonest first; None when there are no labels.
        unused: the other columns.
        column_names: for files that have no header line.
        several_labels: a row may have any number of the labels.
        options: keys of the data section that say how the files are read.
        is_plain_text: the files are txt files, each one text.
    """

    task: type[Task]
    keys: Mapping[str, str | list[str]]
    files: Mapping[str, Sequence[str]]
    rows: int
    complete: bool
    texts: Sequence[str]
    mean_lengths: Mapping[str, float]
    labels: Mapping[str, int] | None
    unused: Sequence[str]
    column_names: Sequence[str] | None
    is_plain_text: bool
    several_labels: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_rows(self) -> bool:
        """Whether a row is one example, not a text of any length to learn from by itself."""
        return list(self.keys) != ["text_column"]

    @property
    def one_label(self) -> Mapping[str, int]:
        """Rows of each label, where a row has exactly one; nothing else."""
        return {} if self.several_labels else self.labels or {}


@dataclass(frozen=True)
class ModelFacts:
    """What a model's files say.

    Args:
        name: what the user called it.
        is_local: whether the name is a path.
        context: longest input in tokens, or None when that is not known.
        width: hidden size, or None when that is not known.
        tokenizer: whose tokens are counted.
        count_tokens: texts -> tokens of each.
    """

    name: str
    is_local: bool
    context: int | None
    width: int | None
    tokenizer: str
    count_tokens: Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True)
class TokenFacts:
    """How long the rows of a sample are in tokens, and about how many tokens all rows have.

    Args:
        median, longest: tokens of a row.
        most: 99 of 100 rows are at most this long.
        total: of all rows.
    """

    median: int
    most: int
    longest: int
    total: int
