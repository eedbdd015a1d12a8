"""Cells of a label column -> names or numbers, and the indices that a model gives the names.

Knows nothing about texts, losses or scores.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from hfcli.errors import DataError, RecipeError, did_you_mean
from hfcli.shown import shown
from hfcli.tasks.base import ORIGIN, origin_of

if TYPE_CHECKING:
    from datasets import Dataset

ROWS_AT_ONCE = 1000
LONGEST_NAME = 1000  # characters of a label; longer ones are texts by mistake
MOST_SENTENCES = 5
OTHER_TYPES: dict[type, str] = {list: "multi_label_classification", float: "regression"}
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
YES_OR_NO = {
    "0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True,
}  # fmt: skip
Label = TypeVar("Label")
Names = tuple[str, ...]
NamedRows = Callable[[], Iterable[tuple[str, Names]]]


class BadLabel(Exception):  # noqa: N818 - a sentence on its way to the error that names the row
    """A cell that holds no label; the message goes on after "column 'label' "."""


def one_name(value: Any) -> Names:
    """The name of a single label: text, int or bool, or a float that is a whole number.

    Raises:
        BadLabel: nothing, or of another type.
    """
    if isinstance(value, float) and _is_whole(value):
        value = int(value)  # pandas makes 1.0 of the label 1 where another row has none
    other = OTHER_TYPES.get(type(value))
    if other is not None:
        raise BadLabel(
            f"must be text, int or bool, found {type(value).__name__}; task.problem_type: {other}"
            " takes that"
        )
    return (_name(value),)


def _name(value: Any) -> str:
    if value is None or value == "":
        raise BadLabel("must be text, int or bool, found nothing")
    if not isinstance(value, str | int | bool):
        raise BadLabel(f"must be text, int or bool, found {type(value).__name__}")
    return _text_of(value)


def _is_whole(value: float) -> bool:
    """Whether a number is a whole one, as labels are.

    Raises:
        BadLabel: it is NaN, which is what pandas writes for nothing.
    """
    if math.isnan(value):
        raise BadLabel("has no label (NaN)")
    return value.is_integer()


def _text_of(value: str | int) -> str:
    try:
        text = str(value)
        text.encode()
    except UnicodeEncodeError as e:
        raise BadLabel("holds half a surrogate pair") from e
    except ValueError as e:  # Python makes no text of more than 4,300 digits
        raise BadLabel("holds a number of too many digits") from e
    if len(text) > LONGEST_NAME:
        raise BadLabel(f"holds a label of {len(text):,} characters, the most is {LONGEST_NAME:,}")
    return text


def several_names(value: Any, separator: str) -> Names:
    """The names of any number of labels: a list, or a text with `separator` between the names.

    A text that is a JSON list is a list; an empty text and an empty list hold no label.

    Raises:
        BadLabel: nothing, of another type, an empty name, or the same name twice.
    """
    if isinstance(value, str):
        value = _listed(value.strip(), separator)
    if not isinstance(value, list):
        found = "nothing" if value is None else type(value).__name__
        raise BadLabel(f"must be a list of labels, or a text with {separator!r} between them,"
                       f" found {found}")  # fmt: skip
    names = [_name(name) for name in value]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        # What a list of zeros and ones, one a label, comes to.
        raise BadLabel(f"must hold the labels of the row, each once; found {twice[0]!r} twice")
    return tuple(names)


def _listed(text: str, separator: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        try:
            return json.loads(text)
        except json.JSONDecodeError as e:
            raise BadLabel(f"looks like a list and is not JSON ({e.msg})") from e
        except (ValueError, RecursionError) as e:
            raise BadLabel("looks like a list and has too deep or too long values") from e
    return [part.strip() for part in text.split(separator)] if text else []


def yes_or_no(value: Any) -> bool:
    """Whether a cell of a column of its own gives a row the label: 0 or 1, in any form.

    Raises:
        BadLabel: anything else.
    """
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        raise BadLabel("must be 0 or 1, found nothing")
    text = str(value)[:200].strip().lower()
    if text not in YES_OR_NO:
        raise BadLabel(f"must be 0 or 1, found {str(value)[:200]!r}")
    return YES_OR_NO[text]


def number(value: Any) -> float:
    """A number, or a text that is one (csv knows nothing but text).

    Raises:
        BadLabel: nothing, no number, or not finite.
    """
    if value is None or value == "":
        raise BadLabel("must be a number, found nothing")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadLabel(f"must be a number, found {type(value).__name__}")
    try:
        found = float(value)
    except (ValueError, OverflowError) as e:
        raise BadLabel(f"must be a number, found {str(value)[:200]!r}") from e
    if not math.isfinite(found):
        raise BadLabel(f"must be a finite number, found {str(value)[:200]!r}")
    return found


def read_cells(
    rows: Dataset, column: str, read: Callable[[Any], Label], *, named: bool = True
) -> Iterator[tuple[str, Label]]:
    """(origin, label) of every row, in order.

    Args:
        rows: with the column.
        column: holds the labels.
        read: makes a label of a cell, or raises `BadLabel`.
        named: put the names of a Hub ClassLabel in the place of its numbers.

    Raises:
        DataError: a cell that cannot be read; names the row.
    """
    declared = declared_names(rows, column) if named else None
    columns = [name for name in (column, ORIGIN) if name in rows.column_names]
    cells = rows.select_columns(columns)
    for start in range(0, len(cells), ROWS_AT_ONCE):
        batch = cells[start : start + ROWS_AT_ONCE]
        for i, value in enumerate(batch[column]):
            origin = origin_of(batch, i, start + i)
            try:
                yield origin, read(value if declared is None else _named(value, declared))
            except BadLabel as e:
                raise DataError(
                    f"{origin}: column {column!r} {e}",
                    hint="test splits of the Hub are often unlabelled: choose another split"
                    if declared
                    else None,
                ) from e


def declared_names(rows: Dataset, column: str) -> list[str] | None:
    """The names that a Hub data set declares for the column (ClassLabel, or lists of it)."""
    feature: Any = rows.features[column]
    names = getattr(getattr(feature, "feature", feature), "names", None)
    return [str(name) for name in names] if names else None


def _named(value: Any, declared: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_named(one, declared) for one in value]
    # The Hub marks rows without a label by -1.
    return declared[value] if value is not None and 0 <= value < len(declared) else None


def sorted_names(names: Iterable[str]) -> list[str]:
    """Return the distinct names in one order, whatever Python's hash seed is.

    Whole numbers are ordered by value, and by text where they are equal (001, 01, 1); anything else
    by text. A label is its text: 1 and 01 are two labels.
    """
    distinct = set(names)
    if all(_is_whole_number(name) for name in distinct):
        return sorted(distinct, key=lambda name: (Decimal(name), name))
    return sorted(distinct)


def _is_whole_number(name: str) -> bool:
    return name.removeprefix("-").isdecimal()


def look_alikes(names: Sequence[str]) -> list[str]:
    """Return a sentence for each group of labels that a typing error may have made of one.

    Args:
        names: distinct label names, in their order.
    """
    groups: dict[object, list[str]] = {}
    for name in names:
        groups.setdefault(_essence(name), []).append(name)
    return [
        f"labels {', '.join(map(repr, group))} differ in {_difference(group)} only: the model"
        f" learns {len(group)} labels"
        for group in groups.values()
        if len(group) > 1
    ][:MOST_SENTENCES]


def _essence(name: str) -> object:
    """What is left of a name without white space and letter case; of a number, its value."""
    text = " ".join(name.split()).casefold()
    return Decimal(text) if NUMBER.fullmatch(text) else text


def _difference(group: Sequence[str]) -> str:
    spaced = {" ".join(name.split()) for name in group}
    if len(spaced) == 1:
        return "white space"
    if len({name.casefold() for name in group}) == 1:
        return "letter case"
    if len({name.casefold() for name in spaced}) == 1:
        return "white space and letter case"
    return "how a number is written"


def label_indices(rows: NamedRows, column: str, known: Sequence[str]) -> dict[str, int]:
    """Map what stands for a label in the data to the model's index.

    Labels are the model's names. They are indices where all of them are, and none of the model's
    names is a number itself: names and indices are never mixed.

    Args:
        rows: gives (origin, names) of every row; called once or twice.
        column: for the message.
        known: the model's label names in the order of their indices.

    Raises:
        DataError: a label that the model does not have; shows both sides.
    """
    by_name = {name: i for i, name in enumerate(known)}
    used = {name for _, names in rows() for name in names}
    if used <= set(by_name):
        return by_name
    by_index = {str(i): i for i in by_name.values()}
    numbered = any(isinstance(_essence(name), Decimal) for name in known)
    if used <= set(by_index) and not numbered:
        return by_index
    unseen = used - set(by_name)
    where = [origin for origin, names in rows() if not unseen.isdisjoint(names)]
    more = f" and {len(where) - 3} more" if len(where) > 3 else ""
    raise DataError(
        f"{', '.join(where[:3])}{more}: label(s) {shown(sorted(unseen))} in column {column!r}"
        f" are not among the model's labels {shown(list(known))}",
        hint="the model knows the labels of its training data only; they are matched by name, or"
        " by index when all are indices and no name is a number",
    )


def check_names(key: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Make sure that a recipe names labels of the training data.

    Raises:
        RecipeError: it does not; says which label may be meant.
    """
    known = list(known)
    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            tail = f"did you mean {near}?" if near else f"the training data has {known}"
            raise RecipeError(f"{key}: unknown label {name!r}, {tail}")
