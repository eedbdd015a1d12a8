"""Writing recipes and what lies beside them: whole or not at all, never over what is there.

Also finds the JSON Schema that an editor should check a recipe by. Knows nothing about keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from hfcli import files
from hfcli.errors import RecipeError
from hfcli.faults import environment_errors

SCHEMA_FILE = "recipe.schema.json"
# The second is where hfcli's own repository keeps it.
SCHEMA_PLACES = (SCHEMA_FILE, f"docs/{SCHEMA_FILE}")
MODELINE = "# yaml-language-server: $schema="
_MODELINE = re.compile(rf"\A{re.escape(MODELINE)}.*\n")


def write_new(contents: Mapping[Path, bytes], *, overwrite: bool) -> list[Path]:
    """Write all files, or none when one of them would replace a file with another content.

    Returns:
        The files written; those that were there already, byte for byte, are left alone.

    Raises:
        RecipeError: a file is there and `overwrite` was not asked for.
        RunError: a file cannot be written.
    """
    wanted = {path: data for path, data in contents.items() if not _holds(path, data)}
    there = [path for path in wanted if path.exists()]
    if there and not overwrite:
        raise RecipeError(
            [f"{path}: is there already" for path in there],
            hint="--overwrite replaces it; or write elsewhere",
        )
    linked = [path for path in there if path.is_symlink() and path.is_file()]
    if linked:
        raise RecipeError(
            [f"{path}: is a link, and what it points to is not replaced" for path in linked],
            hint="name the file itself, or write elsewhere",
        )
    for path, data in wanted.items():
        _write(path, data)
    return list(wanted)


def editor_line(folder: Path) -> str:
    """The first line of a recipe in `folder`: where yaml-language-server finds the schema.

    It is a relative path to the schema in this folder or the nearest one above it that has one;
    where there is none, to where `hfcli recipes schema > recipe.schema.json` would put it.
    """
    here = folder.absolute()
    for above in (here, *here.parents):
        for place in SCHEMA_PLACES:
            if (above / place).is_file():
                return f"{MODELINE}{Path(os.path.relpath(above / place, here)).as_posix()}\n"
    return f"{MODELINE}{SCHEMA_FILE}\n"


def with_editor_line(text: str, folder: Path) -> str:
    """The text of a recipe with `editor_line` at its top, in place of another one."""
    return editor_line(folder) + _MODELINE.sub("", text)


def has_schema(text: str, folder: Path) -> bool:
    """Whether the schema that the first line of a recipe in `folder` names is there."""
    first = text.partition("\n")[0]
    return first.startswith(MODELINE) and (folder / first.removeprefix(MODELINE)).is_file()


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.is_file() and path.read_bytes() == data
    except OSError:
        return False


def _write(path: Path, data: bytes) -> None:
    with environment_errors(path, what="cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, data)
