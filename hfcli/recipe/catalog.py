"""The recipes that ship with hfcli, copies of them that run, and writing recipe files.

Recipes are read as plain YAML and not validated, so that listing them needs no schema. They are in
the package when it was installed from a wheel, and in the repository's own folder otherwise.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hfcli import files
from hfcli.errors import RecipeError, did_you_mean
from hfcli.faults import environment_errors
from hfcli.recipe.yaml_file import parse_yaml

PACKAGE = Path(__file__).parent.parent
FOLDERS = (PACKAGE / "shipped_recipes", PACKAGE.parent / "recipes")
SUFFIXES = (".yaml", ".yml")
SPLITS = ("train", "validation", "test")
SCHEMA_FILE = "recipe.schema.json"
# The second is where hfcli's own repository keeps it.
SCHEMA_PLACES = (SCHEMA_FILE, f"docs/{SCHEMA_FILE}")
MODELINE = "# yaml-language-server: $schema="
_MODELINE = re.compile(rf"\A{re.escape(MODELINE)}.*\n")


@dataclass(frozen=True)
class ShippedRecipe:
    """A shipped recipe at a glance.

    Args:
        name: what `show` and `copy` call it: its file without the suffix.
        task, model, data: what the recipe names; a model from scratch by its type.
        about: the first line of its comment.
        path: the file itself.
    """

    name: str
    task: str
    model: str
    data: str
    about: str
    path: Path

    def to_dict(self) -> dict[str, str]:
        """Return all fields as text."""
        return {key: str(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Copy:
    """What `copy_recipe` did.

    Args:
        recipe: the new recipe.
        text: what stands in it.
        written: every file written, the recipe last.
        absent: data files that the recipe names and that do not ship with hfcli.
    """

    recipe: Path
    text: str
    written: list[Path]
    absent: list[str]


def shipped_folder() -> Path:
    """Return the folder of the shipped recipes."""
    return next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])


def shipped_recipes() -> list[ShippedRecipe]:
    """Return every shipped recipe, by name."""
    return [_glance(path) for path in sorted(shipped_folder().glob("*.yaml"))]


def read_shipped(name: str) -> str:
    """Return the text of a shipped recipe.

    Raises:
        RecipeError: no recipe has this name.
    """
    return _find(name).read_text(encoding="utf-8")


def copy_recipe(name: str, to: Path | None = None, *, overwrite: bool = False) -> Copy:
    """Copy a shipped recipe, and the data files it names to the same places beside it.

    The copy runs where it is: its `output_dir` becomes `runs/` and its own name, beside it.

    Args:
        name: which one.
        to: a file that ends in .yaml or .yml, or a folder; default: the current folder.
        overwrite: replace what is there.

    Raises:
        RecipeError: no recipe has this name, or a file is there already.
    """
    source = _find(name)
    target = _target(source, to)
    text = source.read_text(encoding="utf-8")
    data, absent = _data_files(source, text)
    text = with_editor_line(_with_output_dir(text, f"runs/{target.stem}"), target.parent)
    contents = {target.parent / place: path.read_bytes() for place, path in data.items()}
    contents[target] = text.encode()
    return Copy(target, text, write_new(contents, overwrite=overwrite), absent)


def _find(name: str) -> Path:
    wanted = name.removesuffix(".yaml")
    by_name = {path.stem: path for path in sorted(shipped_folder().glob("*.yaml"))}
    if wanted not in by_name:
        near = did_you_mean(wanted, by_name)
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(by_name)}"
        raise RecipeError(f"no shipped recipe is called {name!r}", hint=hint)
    return by_name[wanted]


def _target(source: Path, to: Path | None) -> Path:
    if to is None:
        return Path(source.name)
    return to if to.suffix in SUFFIXES and not to.is_dir() else to / source.name


def _glance(path: Path) -> ShippedRecipe:
    text = path.read_text(encoding="utf-8")
    recipe = parse_yaml(text).data
    model = recipe["model"]
    return ShippedRecipe(
        name=path.stem,
        task=recipe["task"]["name"],
        model=model.get("name_or_path") or f"{model['config']['model_type']} from scratch",
        data=_data(recipe["data"]),
        about=_first_comment(text),
        path=path,
    )


def _data(section: dict[str, Any]) -> str:
    if "path" in section:
        return " ".join(str(section[key]) for key in ("path", "name") if key in section)
    return ", ".join("/".join(Path(pattern).parts[-2:]) for pattern in _patterns(section))


def _first_comment(text: str) -> str:
    comments = (
        line for line in text.splitlines() if line.startswith("#") and not line.startswith(MODELINE)
    )
    return next(comments, "").removeprefix("#").strip()


def _patterns(section: dict[str, Any]) -> Iterator[str]:
    """File names and globs, as the data section of a recipe over files writes them."""
    for split in SPLITS:
        value = section.get(split, [])
        yield from [value] if isinstance(value, str) else value


def _data_files(source: Path, text: str) -> tuple[dict[str, Path], list[str]]:
    """The files a recipe names, by their path relative to it, and the names that lead outside."""
    section = parse_yaml(text).data["data"]
    folder = source.parent
    files: dict[str, Path] = {}
    absent: list[str] = []
    for pattern in [] if "path" in section else _patterns(section):
        found = sorted(glob.glob(pattern, root_dir=folder))
        inside = not os.path.normpath(pattern).startswith(os.pardir)
        if found and inside:
            files |= {name: folder / name for name in found}
        else:
            absent.append(pattern)
    return files, absent


def _with_output_dir(text: str, folder: str) -> str:
    # As text, so that the comments stay.
    return re.sub(r"^output_dir:.*$", f"output_dir: {folder}", text, count=1, flags=re.MULTILINE)


def write_new(contents: Mapping[Path, bytes], *, overwrite: bool) -> list[Path]:
    """Write all files, or none if one would replace a file with other content.

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
            [f"{path}: already exists" for path in there],
            hint="pass --overwrite to replace it, or choose another path",
        )
    linked = [path for path in there if path.is_symlink() and path.is_file()]
    if linked:
        raise RecipeError(
            [f"{path}: is a link, and hfcli does not replace its target" for path in linked],
            hint="name the file itself, or choose another path",
        )
    for path, data in wanted.items():
        _write(path, data)
    return list(wanted)


def editor_line(folder: Path) -> str:
    """Return the first line of a recipe in `folder`: where yaml-language-server finds the schema.

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
    """Return the text of a recipe with `editor_line` as its first line."""
    return editor_line(folder) + _MODELINE.sub("", text)


def has_schema(text: str, folder: Path) -> bool:
    """Return whether the schema that a recipe's first line names exists in `folder`."""
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
