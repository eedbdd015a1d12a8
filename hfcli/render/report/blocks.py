"""What a report is made of: sections of blocks. Each block names the template that shows it.

The same blocks become HTML and Markdown (`page`). Cells and texts are plain strings; escaping is
the business of the templates.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Table:
    """Rows of text; the first cell of a row names it.

    Args:
        caption: what the table shows; a table without one is not accessible.
        words: the columns that hold words; the others are numbers, set to the right.
    """

    template: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Collection[int] = (0,)


@dataclass(frozen=True)
class Chart:
    """A picture as SVG for the page and as PNG for a file, with the numbers it was drawn from."""

    template: ClassVar[str] = "chart"
    name: str
    title: str
    description: str
    svg: str
    png: bytes = field(repr=False)
    table: Table | None = None


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    template: ClassVar[str] = "prose"
    text: str


@dataclass(frozen=True)
class Notes:
    """Sentences, one a line."""

    template: ClassVar[str] = "notes"
    lines: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Text to copy, as it is, under a name for those who cannot see it."""

    template: ClassVar[str] = "code"
    label: str
    text: str
    language: str = ""


@dataclass(frozen=True)
class Excerpts:
    """Texts by people or models, each behind a line that opens it.

    Args:
        summary: the line; `is_open` says whether the texts show at first.
        texts: pairs of a name and a text, which may hold anything.
    """

    template: ClassVar[str] = "excerpts"
    summary: str
    texts: Sequence[tuple[str, str]]
    is_open: bool = True


Block = Table | Chart | Prose | Notes | Code | Excerpts


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True)
class Page:
    """A report.

    Args:
        facts: pairs of a name and a value that stand at the top.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
