"""Columns -> the shape of the data: one function a shape, the first that fits wins.

Goes by the names and the values of columns. Where two readings are possible it asks, and names
the flag that decides. Knows nothing about files, models or tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hfcli.data.profile import MAX_DISTINCT, Column, Profile
from hfcli.errors import DataError, did_you_mean
from hfcli.tasks.base import Task
from hfcli.tasks.labels import OTHER_TYPES, YES_OR_NO
from hfcli.tasks.messages import is_conversation
from hfcli.tasks.text_classification import TextClassification
from hfcli.tasks.text_generation import TextGeneration

TEXT_NAMES = ("text", "sentence", "content", "document", "review", "body", "message", "comment")
LABEL_NAMES = ("label", "labels", "class", "category", "target", "sentiment", "intent", "topic")
PAIRS = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"),
    ("question", "sentence"), ("question", "passage"), ("text1", "text2"), ("text_a", "text_b"),
    ("text", "text_pair"),
)  # fmt: skip
PROMPTS = (
    ("prompt", "completion"), ("prompt", "response"), ("instruction", "output"),
    ("instruction", "response"), ("question", "answer"), ("input", "output"), ("source", "target"),
)  # fmt: skip
MAX_LABELS = 200
TOOLS = "tools"
MAX_LABEL_LENGTH = 60  # characters


@dataclass(frozen=True)
class Wanted:
    """What is known before the data is looked at; None leaves it to be found."""

    task: type[Task] | None = None
    text: str | None = None
    label: str | None = None

    def allows(self, task: type[Task]) -> bool:
        """Whether the data may be read for this task."""
        return self.task in (None, task)


@dataclass(frozen=True)
class Shape:
    """One reading of the data.

    Args:
        task: the task that reads it so.
        keys: key of the task -> column, or columns.
        label: the column with the label, where there is one.
    """

    task: type[Task]
    keys: dict[str, str | list[str]]
    label: str | None = None

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        lists = [[name] if isinstance(name, str) else name for name in self.keys.values()]
        return [name for names in lists for name in names]

    @property
    def labels(self) -> list[str]:
        """The columns of labels, where each label has one."""
        names = self.keys.get("label_columns", [])
        return [] if isinstance(names, str) else names

    @property
    def read(self) -> list[str]:
        """The columns that a model reads."""
        return [name for name in self.columns if name not in (self.label, *self.labels)]


def shape_of(seen: Profile, wanted: Wanted) -> Shape:
    """The first shape that fits.

    Raises:
        DataError: none does, or the columns leave it open.
    """
    for name in (wanted.text, wanted.label):
        if name is not None and name not in seen.columns:
            near = did_you_mean(name, seen.columns)
            hint = f"did you mean {near}?" if near else None
            raise DataError(f"no column {name!r}; there are {seen.describe()}", hint=hint)
    if wanted.text is not None and not seen.columns[wanted.text].is_text:
        column = seen.columns[wanted.text]
        raise DataError(f"column {column.name!r} holds no texts: {column.describe()}")
    for fits in SHAPES:
        shape = fits(seen, wanted)
        if shape is not None:
            return shape
    if wanted.task is TextClassification:
        raise DataError(
            f"no column looks like a label (few different values); there are {seen.describe()}",
            hint="--label-column names it",
        )
    raise DataError(f"no column holds texts; there are {seen.describe()}")


def _messages(seen: Profile, wanted: Wanted) -> Shape | None:
    """A column of lists of turns, each with a role and a content."""
    if wanted.text or not wanted.allows(TextGeneration):
        return None
    for column in seen.columns.values():
        values = [row[column.name] for row in seen.sample if row.get(column.name) is not None]
        if set(column.kinds) == {"list"} and all(map(is_conversation, values)):
            keys: dict[str, str | list[str]] = {"messages_column": column.name}
            if _holds_tools(seen):
                keys["tools_column"] = TOOLS
            return _supported(TextGeneration, keys, "conversations")
    return None


def _holds_tools(seen: Profile) -> bool:
    values = [row[TOOLS] for row in seen.sample if row.get(TOOLS)]
    return bool(values) and all(isinstance(value, list | str) for value in values)


def _labelled(seen: Profile, wanted: Wanted) -> Shape | None:
    """Texts with a label whose column is named, by the user or by custom."""
    if not wanted.allows(TextClassification):
        return None
    if wanted.label is not None:
        return _classification(seen, wanted, wanted.label)
    custom = [c for c in seen.columns.values() if c.name.lower() in LABEL_NAMES]
    fitting = [c.name for c in custom if _like_labels(c, seen) and c.name != wanted.text]
    if len(fitting) > 1:
        raise _which_label(fitting)
    return _classification(seen, wanted, fitting[0]) if fitting else None


def _one_column_a_label(seen: Profile, wanted: Wanted) -> Shape | None:
    """Texts beside several columns of 0 and 1, each of which is a label."""
    if not wanted.allows(TextClassification) or wanted.label is not None:
        return None
    labels = [c.name for c in seen.columns.values() if _is_yes_or_no(c) and c.name != wanted.text]
    if len(labels) < 2 or all(len(seen.columns[name].values) < 2 for name in labels):
        return None
    text = wanted.text or _text_column(seen, without=labels)
    if text is None:
        return None
    return Shape(TextClassification, {"text_column": text, "label_columns": labels})


def _is_yes_or_no(column: Column) -> bool:
    return bool(column.values) and {value.lower() for value in column.values} <= {*YES_OR_NO}


def _prompts(seen: Profile, wanted: Wanted) -> Shape | None:
    """A prompt and what should follow it."""
    names = _two_of(PROMPTS, seen)
    if names is None or wanted.text or not wanted.allows(TextGeneration):
        return None
    keys: dict[str, str | list[str]] = {
        "prompt_column": names[0], "completion_column": names[1],
    }  # fmt: skip
    return _supported(TextGeneration, keys, "prompts and completions")


def _few_values(seen: Profile, wanted: Wanted) -> Shape | None:
    """Texts beside one column of few different values."""
    if not wanted.allows(TextClassification):
        return None
    fitting = [c.name for c in seen.columns.values() if _like_labels(c, seen)]
    fitting = [name for name in fitting if name != wanted.text]
    if len(fitting) > 1:
        raise _which_label(fitting)
    return _classification(seen, wanted, fitting[0]) if fitting else None


def _plain(seen: Profile, wanted: Wanted) -> Shape | None:
    """Texts by themselves."""
    if not wanted.allows(TextGeneration):
        return None
    custom = [c for c in seen.columns.values() if c.name.lower() in LABEL_NAMES]
    if custom and wanted.task is None:
        raise DataError(
            f"column {custom[0].name!r} has the name of a label, and not the values:"
            f" {custom[0].describe()} in {seen.rows:,} rows",
            hint=_other_problem(custom[0])
            or "--label-column names the label; if there is none, give --task"
            f" {TextGeneration.model_fields['name'].default}",
        )
    text = wanted.text or _text_column(seen)
    return Shape(TextGeneration, {"text_column": text}) if text else None


# In the order in which they are tried.
SHAPES: tuple[Callable[[Profile, Wanted], Shape | None], ...] = (
    _messages, _labelled, _one_column_a_label, _prompts, _few_values, _plain,
)  # fmt: skip


def _classification(seen: Profile, wanted: Wanted, label: str) -> Shape:
    column = seen.columns[label]
    if not set(column.kinds) <= {"str", "int", "bool"} or len(column.values) > MAX_DISTINCT:
        raise DataError(
            f"column {label!r} holds no labels: {column.describe()}", hint=_other_problem(column)
        )
    if len(column.values) < 2:
        raise DataError(f"column {label!r} holds one label only, classification needs two or more")
    pair = _two_of(PAIRS, seen)
    if pair is not None and wanted.text is None and label not in pair:
        keys: dict[str, str | list[str]] = {
            "text_column": pair[0], "text_pair_column": pair[1], "label_column": label,
        }  # fmt: skip
        return _supported(TextClassification, keys, "pairs of texts", label)
    text = wanted.text or _text_column(seen, without=[label])
    if text is None:
        raise DataError(f"no column beside {label!r} holds texts; there are {seen.describe()}")
    return Shape(TextClassification, {"text_column": text, "label_column": label}, label)


def _other_problem(column: Column) -> str | None:
    """What a recipe must say for a column of lists or of fractions."""
    named = {kind.__name__: problem for kind, problem in OTHER_TYPES.items()}
    found = next((named[kind] for kind in column.kinds if kind in named), None)
    return found and f"a recipe written by hand takes it, with task.problem_type: {found}"


def _supported(
    task: type[Task], keys: dict[str, str | list[str]], what: str, label: str | None = None
) -> Shape:
    if not set(keys) <= set(task.model_fields):
        raise DataError(
            f"the columns {', '.join(map(str, keys.values()))} look like {what}, which"
            f" {task.model_fields['name'].default} does not read",
            hint="--text-column names the one column to learn from",
        )
    return Shape(task, keys, label)


def _text_column(seen: Profile, without: Sequence[str] = ()) -> str | None:
    """The column whose name says text, else the one with by far the longest texts."""
    texts = [c for c in seen.columns.values() if c.is_text and c.name not in without]
    named = [c.name for name in TEXT_NAMES for c in texts if c.name.lower() == name]
    if named or not texts:
        return named[0] if named else None
    longest = max(texts, key=lambda c: c.mean_length)
    near = [c.name for c in texts if c.mean_length > longest.mean_length / 2]
    if len(near) > 1:
        raise DataError(
            f"the columns {', '.join(near)} hold texts of like length",
            hint="--text-column names the one to learn from",
        )
    return longest.name


def _like_labels(column: Column, seen: Profile) -> bool:
    return (
        set(column.kinds) <= {"str", "int", "bool"}
        and 2 <= len(column.values) <= min(MAX_LABELS, seen.rows // 3)
        and max(map(len, column.values)) <= MAX_LABEL_LENGTH
    )


def _two_of(known: Sequence[tuple[str, str]], seen: Profile) -> tuple[str, str] | None:
    by_name = {c.name.lower(): c.name for c in seen.columns.values() if c.is_text}
    found = next((two for two in known if set(two) <= set(by_name)), None)
    return (by_name[found[0]], by_name[found[1]]) if found else None


def _which_label(names: Sequence[str]) -> DataError:
    return DataError(
        f"the columns {', '.join(names)} could all be the label", hint="--label-column names it"
    )
