"""`hfcli recipes`: recipes to look at, to copy, to make from data, and their schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfcli.cli import options
from hfcli.cli.typed import TypedCommand
from hfcli.cli.variables import in_order

if TYPE_CHECKING:
    from hfcli.recipe.overrides import Override

recipes_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Shipped recipes, and new ones made from your data.",
)

Name = Annotated[str, typer.Argument(help="As `hfcli recipes list` shows it.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]


@recipes_app.command("list", cls=TypedCommand)
def list_command(json: options.Json = False) -> None:
    """List the recipes that ship with hfcli."""
    _list(json=json)


@recipes_app.command("show", cls=TypedCommand)
def show_command(name: Name) -> None:
    """Print a shipped recipe as it is."""
    _show(name=name)


@recipes_app.command("check", cls=TypedCommand)
def check_command(
    recipe: Annotated[Path, typer.Argument(help="The recipe (YAML).", show_default=False)],
    overrides: options.Overrides = None,
    set_: options.Set = None,
    offline: options.Offline = False,
    json: options.Json = False,
) -> None:
    """Say what a run of the recipe would be; the same as finetune --dry-run."""
    environment, typed = in_order(overrides, set_)
    _check(recipe=recipe, overrides=[*environment, *typed], offline=offline, json=json)


@recipes_app.command("copy", cls=TypedCommand)
def copy_command(
    name: Name,
    to: Annotated[
        Path | None,
        typer.Argument(
            help="A file (.yaml) or a folder. Default: the current folder.", show_default=False
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Copy a shipped recipe and its data, ready to run where they are."""
    _copy(name=name, to=to, overwrite=overwrite)


@recipes_app.command("init", cls=TypedCommand)
def init_command(
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            "-d",
            help="File to learn from: csv, tsv, json, jsonl, parquet or txt; repeatable. Files"
            " called train, dev or test become these splits.",
            show_default=False,
        ),
    ],
    task: Annotated[
        str | None, typer.Option(help="Default: what the columns look like.", show_default=False)
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Hub id, local folder, or `bundled`.")
    ] = "bundled",
    text_column: Annotated[
        str | None, typer.Option("--text-column", "--text", show_default=False)
    ] = None,
    label_column: Annotated[
        str | None, typer.Option("--label-column", "--label", show_default=False)
    ] = None,
    column_names: Annotated[
        str | None,
        typer.Option(
            help="Names for the columns of files without a header line: text,label.",
            show_default=False,
        ),
    ] = None,
    encoding: options.Encoding = None,
    on_bad_row: options.OnBadRow = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The recipe; - is stdout.")
    ] = "recipe.yaml",
    overwrite: Overwrite = False,
) -> None:
    """Look at data, and write a commented recipe for it that runs as it is."""
    _init(
        data=data,
        task=task,
        model=model,
        text_column=text_column,
        label_column=label_column,
        column_names=column_names,
        encoding=encoding,
        on_bad_row=on_bad_row,
        output=output,
        overwrite=overwrite,
    )


@recipes_app.command("schema", cls=TypedCommand)
def schema_command() -> None:
    """Print the JSON Schema of recipes, for editors.

    hfcli recipes schema > recipe.schema.json
    """
    _schema()


def _check(*, recipe: Path, overrides: Sequence[Override], offline: bool, json: bool) -> None:
    from hfcli.cli.finetune import show_plan_of
    from hfcli.recipe.load import load_recipe

    show_plan_of(recipe=load_recipe(recipe, overrides), offline=offline, json=json)


def _list(*, json: bool) -> None:
    from hfcli.recipe.catalog import shipped_recipes
    from hfcli.render.streams import write_json
    from hfcli.render.tables import show_recipes

    recipes = [recipe.to_dict() for recipe in shipped_recipes()]
    if json:
        write_json(recipes)
    else:
        show_recipes(recipes)


def _show(*, name: str) -> None:
    from hfcli.recipe.catalog import read_shipped
    from hfcli.render.streams import write_out

    write_out(read_shipped(name))


def _copy(*, name: str, to: Path | None, overwrite: bool) -> None:
    from hfcli.recipe.catalog import copy_recipe
    from hfcli.render.streams import write_err

    copy = copy_recipe(name, to, overwrite=overwrite)
    written = ", ".join(map(str, copy.written))
    write_err(f"wrote {written}" if written else f"{copy.recipe} and its data are there already")
    for pattern in copy.absent:
        write_err(f"note: {pattern} does not ship with hfcli: point the recipe at your own")
    _say_what_next(copy.recipe, copy.text)


def _init(
    *,
    data: list[str],
    task: str | None,
    model: str,
    text_column: str | None,
    label_column: str | None,
    column_names: str | None,
    encoding: str | None,
    on_bad_row: str | None,
    output: str,
    overwrite: bool,
) -> None:
    from hfcli.cli import validate
    from hfcli.data.inspect_data import inspect_data
    from hfcli.models.inspect_model import inspect_model
    from hfcli.recipe.files import write_new
    from hfcli.recipe.overrides import split_names
    from hfcli.recipe.starter import write_recipe
    from hfcli.render.streams import write_err, write_out

    flag = "--column-names"
    target = Path("recipe.yaml" if output == "-" else output)
    found = inspect_data(
        patterns=data,
        task=task,
        text_column=text_column,
        label_column=label_column,
        column_names=None if column_names is None else split_names(column_names, flag),
        encoding=validate.encoding(encoding),
        on_bad_row=validate.one_of("--on-bad-row", on_bad_row or "error", ("error", "skip")),
        tell=lambda told: write_err(f"note: {told}"),
    )
    text = write_recipe(data=found, model=inspect_model(model), to=target)
    if output == "-":
        write_out(text)
        return
    write_new({target: text.encode()}, overwrite=overwrite)
    write_err(f"wrote {target}")
    _say_what_next(target, text)


def _schema() -> None:
    from hfcli.recipe.json_schema import recipe_schema
    from hfcli.render.streams import write_json

    write_json(recipe_schema())


def _say_what_next(recipe: Path, text: str) -> None:
    from hfcli import shell
    from hfcli.recipe.files import SCHEMA_FILE, has_schema
    from hfcli.render.streams import write_err

    if not has_schema(text, recipe.parent):
        place = shell.quote(str(recipe.parent / SCHEMA_FILE))
        write_err(f"next: hfcli recipes schema > {place}   (an editor then completes the keys)")
    write_err(f"next: hfcli finetune {shell.quote(str(recipe))}")
