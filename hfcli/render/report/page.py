"""A page of blocks -> one HTML file, and files that are whole or not there.

The HTML forbids itself to load anything, and its colours are switched by CSS alone.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hfcli import files
from hfcli.render.report.blocks import Page
from hfcli.render.report.palette import DARK, LIGHT, NAMES
from hfcli.render.report.text import marked

if TYPE_CHECKING:
    from jinja2 import Environment


def html(page: Page) -> str:
    """The page as one file that needs no other."""
    schemes = {name: (getattr(LIGHT, name), getattr(DARK, name)) for name in NAMES}
    return environment().get_template("page.html").render(page=page, schemes=schemes)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    files.write_bytes(path, content)


def write_text(path: Path, text: str) -> None:
    """The same for text; half a surrogate pair, which UTF-8 lacks, becomes its escape."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


@cache
def environment() -> Environment:
    """The templates of this folder; whatever is put into HTML is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    made = Environment(
        loader=PackageLoader("hfcli.render.report"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["marked"] = marked
    return made
