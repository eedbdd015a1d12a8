"""A page of blocks -> Markdown.

A chart is its table there, and its picture where that is a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hfcli.render.report.blocks import Block, Chart, Code, Excerpts, Notes, Page, Prose, Table
from hfcli.render.report.text import visible

# What Markdown, or HTML in it, reads as more than a character.
MARKS = re.compile(r"([\\`*_{}\[\]<>|#~$&])")


def markdown(page: Page, *, pictures: bool = False) -> str:
    """The whole page.

    Args:
        pictures: every chart has been written beside the page as `NAME.png`.
    """
    facts = Table("", ("", ""), page.facts, words=(0, 1))
    parts = [f"# {escaped(page.title)}", table(facts)]
    for section in page.sections:
        parts.append(f"## {escaped(section.title)}")
        for one in section.blocks:
            if pictures and isinstance(one, Chart):
                parts.append(f"![{escaped(one.description)}]({one.name}.png)")
                parts += [block(one.table)] if one.table else []
            else:
                parts.append(block(one))
    return "\n\n".join(parts) + "\n"


def block(one: Block) -> str:
    """One block; texts stand in fences that they cannot close."""
    match one:
        case Table():
            return "\n\n".join(filter(None, (escaped(one.caption), table(one))))
        case Chart():
            return block(one.table) if one.table else escaped(one.description)
        case Prose():
            return escaped(one.text)
        case Notes():
            return "\n".join(f"- {escaped(line)}" for line in one.lines)
        case Code():
            return fenced(one.text, one.language)
        case Excerpts():
            texts = [f"{escaped(name)}:\n\n{fenced(text)}" for name, text in one.texts]
            return "\n\n".join([f"### {escaped(one.summary)}", *texts])


def table(one: Table) -> str:
    """A table in GitHub's Markdown."""
    rules = ["---" if i in one.words else "---:" for i in range(len(one.columns))]
    lines = [_row(one.columns), _row(rules, raw=True), *(_row(row) for row in one.rows)]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Text on one line that is read as itself."""
    return MARKS.sub(r"\\\1", visible(" ".join(text.split())))


def fenced(text: str, language: str = "") -> str:
    """A code block; its fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{visible(text).rstrip()}\n{fence}"


def _row(cells: Sequence[str] | Iterable[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(cell if raw else escaped(cell) for cell in cells)} |"
