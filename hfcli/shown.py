"""Text of users, in messages and tables: cut where it is long, and made visible where it is not.

Pure functions of text, which every room may use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

LONGEST_VALUE = 200  # characters of one value
LONGEST_LINE = 1_500  # characters of one line of a message
MOST_VALUES = 20  # of a list; and lines of a message
TAIL = 40  # characters that stay at the end of a cut word, such as `name.yaml:12:`

# C0 without tab and line feed, C1, marks and overrides of the writing direction, line and
# paragraph separators, and halves of characters.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_HALF = re.compile("[\ud800-\udfff]")
# A value in quotes, as repr() writes it; an apostrophe inside a word opens none.
_QUOTED = re.compile(r"""(?<!\w)(?:'(?:[^'\\]|\\.){200,}'|"(?:[^"\\]|\\.){200,}")""", re.DOTALL)
_WORD = re.compile(r"\S{201,}")


def visible(text: str) -> str:
    """The text with control characters as escapes, `\\x1b`; tabs and line feeds stay."""
    return _CONTROL.sub(_escaped, text)


def visible_json(text: str) -> str:
    """JSON with control characters as its own escapes, `\\u001b`: an equal value."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def json_bytes(text: str) -> str:
    """JSON with halves of characters, which UTF-8 lacks, as escapes: an equal value."""
    return text if text.isascii() else _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def visible_line(text: str) -> str:
    """`visible`, with line feeds as `\\n`, too."""
    return visible(text).replace("\n", "\\n")


def shown(value: Any) -> str:
    """`repr(value)`, cut after 200 characters; a list after 20 values.

    Returns:
        Such as `'abc…' (5,000 characters)` or `['a', 'b', … (1,000)]`.
    """
    if isinstance(value, str):
        text = repr(value[:LONGEST_VALUE])
        more = len(value) > LONGEST_VALUE
        return f"{text[:-1]}…{text[-1]} ({len(value):,} characters)" if more else text
    if isinstance(value, list | tuple) and value:
        left, right = ("[", "]") if isinstance(value, list) else ("(", ")")
        return f"{left}{listed(value, shown)}{right}"
    try:
        text = repr(value)
    except ValueError:  # a number of more digits than Python writes
        return f"a {type(value).__name__} of very many digits"
    return _cut_value(text)


def listed(values: Iterable[Any], show: Any = None) -> str:
    """The values with commas between them, each cut after 200 characters; after 20 the count.

    Args:
        values: words, or anything that `show` can show.
        show: value -> text; default: the word as it is.
    """
    every: Sequence[Any] = values if isinstance(values, list | tuple) else list(values)
    texts = [(show or _word)(value) for value in every[:MOST_VALUES]]
    if len(every) > MOST_VALUES:
        texts.append(f"… ({len(every):,})")
    return ", ".join(texts)


def cut_line(text: str, longest_value: int = LONGEST_VALUE) -> str:
    """A line of a message without its long parts: values in quotes, words, and the rest of it."""
    if len(text) <= longest_value:
        return text
    text = _QUOTED.sub(lambda found: _cut_quoted(found[0], longest_value), text)
    text = _WORD.sub(lambda found: _cut_word(found[0], longest_value), text)
    if len(text) <= LONGEST_LINE:
        return text
    return f"{text[: LONGEST_LINE - TAIL]}… ({len(text):,} characters) …{text[-TAIL:]}"


def cut_lines(lines: Sequence[str]) -> list[str]:
    """The first 20 lines, each cut, and how many more there are."""
    if len(lines) > MOST_VALUES + 1:  # one line may say how many there are in all
        more = len(lines) - MOST_VALUES
        lines = [*lines[:MOST_VALUES], f"and {more:,} more like these"]
    return [cut_line(line) for line in lines]


def _word(value: Any) -> str:
    return _cut_value(str(value))


def _cut_value(text: str) -> str:
    if len(text) <= LONGEST_VALUE:
        return text
    return f"{text[:LONGEST_VALUE]}… ({len(text):,} characters)"


def _cut_quoted(text: str, longest: int) -> str:
    if len(text) - 2 <= longest + 1:  # one that is cut already, with its …
        return text
    return f"{text[: longest + 1]}…{text[-1]} ({len(text) - 2:,} characters)"


def _cut_word(text: str, longest: int) -> str:
    if len(text) <= longest + TAIL:
        return text
    return f"{text[: longest - TAIL]}…[{len(text):,} characters]…{text[-TAIL:]}"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
