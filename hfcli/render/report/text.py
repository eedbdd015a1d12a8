"""Values and foreign texts -> strings that can be read: numbers, intervals, control characters.

Knows nothing about HTML or Markdown but the one mark that `marked` sets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup

NOTHING = "–"  # noqa: RUF001 - a dash for a cell without a value
# Control characters but tab and line feed, and what has no width, turns the direction of text, or
# is no character at all (halves of surrogate pairs). Joiners stay: emoji and scripts need them.
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with every character that cannot be seen as its escape, `\\x1b` for example."""
    return UNSEEN.sub(lambda found: _escape(found[0]), text)


def marked(text: str) -> Markup:
    """`visible` as HTML, with the escapes marked as such."""
    from markupsafe import Markup, escape

    parts, end = [], 0
    for found in UNSEEN.finditer(text):
        parts.append(escape(text[end : found.start()]))
        parts.append(Markup("<span class=unseen>{}</span>").format(_escape(found[0])))
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, the last an ellipsis where something was left out."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def number(value: Any) -> str:
    """A value for a table: four places where they say enough, thousands apart, a dash for none."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return visible(str(value))
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    if 1_000 <= abs(value) < 1e9:
        return f"{value:,.1f}"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1_000 else f"{value:.4g}"


def value_of(score: Any) -> Any:
    """The number of a score that is one, or a mapping with its interval."""
    return score.get("value") if isinstance(score, Mapping) else score


def interval(score: Any) -> str:
    """`0.8712 to 0.9034`, or a dash."""
    if not isinstance(score, Mapping) or score.get("low") is None or score.get("high") is None:
        return NOTHING
    return f"{number(score['low'])} to {number(score['high'])}"


def percent(part: float, whole: float) -> str:
    """`12.5 %`, or a dash for a share of nothing."""
    return f"{100 * part / whole:.1f}\u00a0%" if whole else NOTHING


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
