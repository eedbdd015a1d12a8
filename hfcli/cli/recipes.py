"""`hfcli recipes`: recipes to look at, to copy, to make from data, and their schema."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hfcli.cli.options import (
    ColumnNames,
    Encoding,
    Json,
    LabelColumn,
    Offline,
    OnBadRow,
    Overrides,
    Set,
    TextColumn,
)
from hfcli.cli.typed import TypedCommand, argument, command_of, option
from hfcli.cli.variables import in_order
from hfcli.runfolder.names import RECIPE_FILE

recipes_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Shipped recipes, and new ones made from your data.",
)

Name = Annotated[str, typer.Argument(help="As `hfcli recipes list` shows it.")]


@recipes_app.command("list", cls=TypedCommand)
def list_command(json: Json = False) -> None:
    """List the recipes that ship with hfcli."""
    from hfcli.recipe.catalog import shipped_recipes
    from hfcli.render.streams import write_json
    from hfcli.render.tables import show_recipes

    recipes = [recipe.to_dict() for recipe in shipped_recipes()]
    if json:
        write_json(recipes)
    else:
        show_recipes(recipes)


@recipes_app.command("show", cls=TypedCommand)
def show_command(name: Name) -> None:
    """Print a shipped recipe as it is."""
    from hfcli.recipe.catalog import read_shipped
    from hfcli.render.streams import write_out

    write_out(read_shipped(name))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CheckRequest:
    """Show what a run of the recipe would be; the same as finetune --dry-run."""

    recipe: Annotated[Path, typer.Argument(help="The recipe (YAML).")]
    overrides: Overrides = None
    set_: Set = None
    offline: Offline = False
    json: Json = False


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CopyRequest:
    """Copy a shipped recipe and its data, ready to run where they are."""

    name: Name
    to: Path | None = argument(None, "A file (.yaml) or a folder. Default: the current folder.")
    overwrite: bool = option(False, "Replace files that are there.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class InitRequest:
    """Look at data, and write a commented recipe for it that runs as it is."""

    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            "-d",
            help="File (train, dev or test): csv, tsv, json, jsonl, parquet or txt; repeatable.",
        ),
    ]
    task: str | None = option(None, "Task to train. Default: by the columns.")
    model: str = option("bundled", "Hub id, local folder, or `bundled`.", "--model", "-m")
    text_column: TextColumn = None
    label_column: LabelColumn = None
    column_names: ColumnNames = None
    encoding: Encoding = None
    on_bad_row: OnBadRow = None
    output: str = option(RECIPE_FILE, "The recipe's file; - is stdout.", "--output", "-o")
    overwrite: bool = option(False, "Replace files that are there.")


def _check(request: CheckRequest) -> None:
    from hfcli.cli.finetune import show_plan_of
    from hfcli.recipe.load import load_recipe

    environment, typed = in_order(request.overrides, request.set_)
    recipe = load_recipe(request.recipe, [*environment, *typed])
    show_plan_of(recipe=recipe, offline=request.offline, json=request.json)


def _copy(request: CopyRequest) -> None:
    from hfcli.recipe.catalog import copy_recipe
    from hfcli.render.streams import write_err

    copy = copy_recipe(request.name, request.to, overwrite=request.overwrite)
    written = ", ".join(map(str, copy.written))
    write_err(f"wrote {written}" if written else f"{copy.recipe} and its data are there already")
    for pattern in copy.absent:
        write_err(f"note: {pattern} does not ship with hfcli: point the recipe at your own")
    _say_what_next(copy.recipe, copy.text)


def _init(request: InitRequest) -> None:
    from hfcli.cli import validate
    from hfcli.data.inspect_data import inspect_data
    from hfcli.models.inspect_model import inspect_model
    from hfcli.recipe.catalog import write_new
    from hfcli.recipe.overrides import split_names
    from hfcli.recipe.starter import write_recipe
    from hfcli.render.streams import write_err, write_out

    names = request.column_names
    target = Path(RECIPE_FILE if request.output == "-" else request.output)
    found = inspect_data(
        patterns=request.data,
        task=request.task,
        text_column=request.text_column,
        label_column=request.label_column,
        column_names=None if names is None else split_names(names, "--column-names"),
        encoding=validate.encoding(request.encoding),
        on_bad_row=validate.one_of(
            "--on-bad-row", request.on_bad_row or "error", ("error", "skip")
        ),
        tell=lambda sentence: write_err(f"note: {sentence}"),
    )
    text = write_recipe(data=found, model=inspect_model(request.model), to=target)
    if request.output == "-":
        write_out(text)
        return
    write_new({target: text.encode()}, overwrite=request.overwrite)
    write_err(f"wrote {target}")
    _say_what_next(target, text)


def _say_what_next(recipe: Path, text: str) -> None:
    from hfcli import shell
    from hfcli.recipe.catalog import SCHEMA_FILE, has_schema
    from hfcli.render.streams import write_err

    if not has_schema(text, recipe.parent):
        place = shell.quote(str(recipe.parent / SCHEMA_FILE))
        write_err(f"next: hfcli recipes schema > {place}   (an editor then completes the keys)")
    write_err(f"next: hfcli finetune {shell.quote(str(recipe))}")


recipes_app.command("check", cls=TypedCommand)(command_of(CheckRequest, _check))
recipes_app.command("copy", cls=TypedCommand)(command_of(CopyRequest, _copy))
recipes_app.command("init", cls=TypedCommand)(command_of(InitRequest, _init))


@recipes_app.command("schema", cls=TypedCommand)
def schema_command() -> None:
    """Print the JSON Schema of recipes, for editors.

    hfcli recipes schema > recipe.schema.json
    """
    from hfcli.recipe.json_schema import recipe_schema
    from hfcli.render.streams import write_json

    write_json(recipe_schema())
