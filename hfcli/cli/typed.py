"""Commands whose flags are the fields of a request, and their values as they were typed.

A name of a file may be any bytes, and `~` at its start is the home folder, as the shell makes it
where no `=` stands before it. Any other text is UTF-8. Flags that were not typed may come from the
environment (`hfcli.cli.variables`).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import MISSING, Field, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_type_hints

import typer.core

from hfcli.cli import variables
from hfcli.errors import RecipeError
from hfcli.origins import as_typed
from hfcli.transfers import hub_seconds

# Arguments and options, by their name in Python, that name a file, a folder, or a model.
FILES = frozenset({
    "adapter", "baseline", "data", "draft_model", "few_shot", "input", "json_schema", "metric",
    "model", "output", "output_dir", "prompt_file", "recipe", "run", "runs", "suite_path", "target",
    "template", "to",
})  # fmt: skip


PATH_TYPES = ("path", "file", "directory")  # names of the type that Typer gives to Path parameters
GIVEN = "hfcli.variables"


Request = TypeVar("Request")
Value = TypeVar("Value")
TYPER = "typer"


def option(
    default: Value,
    about: str,
    *names: str,
    min: float | None = None,
    max: float | None = None,
    metavar: str | None = None,
) -> Value:
    """Return a field of a request that is an option.

    Args:
        default: where the option is not typed.
        about: its help.
        names: default: `--` and the name of the field.
        min, max: bounds of a number.
        metavar: what stands for the value in the help.
    """
    made = typer.Option(*names, help=about, min=min, max=max, metavar=metavar)
    return field(default=default, metadata={TYPER: made})


def argument(default: Value, about: str) -> Value:
    """Return a field of a request that is an argument."""
    return field(default=default, metadata={TYPER: typer.Argument(help=about)})


def command_of(request: type[Request], work: Callable[[Request], None]) -> Callable[..., None]:
    """Return the function that Typer makes a command of.

    Args:
        request: a dataclass: its fields are the command's arguments and options, its docstring is
            the help. Its module does without postponed annotations: compiling those of all flags
            takes 10 ms of each start.
        work: what the command does.
    """
    hints = get_type_hints(request, include_extras=True)

    def command(**values: Any) -> None:
        work(request(**values))

    parameters = [_parameter(one, hints[one.name]) for one in fields(cast("Any", request))]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__doc__ = request.__doc__
    return command


def _parameter(one: Field[Any], hint: Any) -> inspect.Parameter:
    made = one.metadata.get(TYPER)
    if made is not None:
        if one.default is False and made.default is ...:
            # Without its name it would be a pair, --overwrite/--no-overwrite.
            flag = f"--{one.name.replace('_', '-')}"
            made = type(made)(**{**vars(made), "default": flag})
        hint = Annotated[hint, made]
    default = inspect.Parameter.empty if one.default is MISSING else one.default
    return inspect.Parameter(
        one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint
    )


class ShowHelp(Exception):  # noqa: N818 - not an error of anyone
    """Raised by a command that was given nothing to do: its help is shown, and it exits with 2."""


class TypedCommand(typer.core.TyperCommand):
    """A command whose texts are UTF-8, and whose file names are not empty and know `~`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse as Typer does, with the flags of the environment, then check every text.

        Raises:
            RecipeError: a text that is not UTF-8, or an empty file name.
        """
        _refuse_empty_files(self.params, args)
        given = variables.given_variables(self, ctx, args)
        ctx.meta[GIVEN] = given
        before = [word for variable in given for word in variable.arguments]
        with variables.named(given):
            rest = super().parse_args(ctx, [*before, *args])
            for parameter in self.params:
                name = parameter.name or ""
                if name in ctx.params:
                    value = _checked(ctx.params[name], name, _shown_name(parameter))
                    ctx.params[name] = _as_paths(value) if _is_path(parameter) else value
        return rest

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command; the variables that give its flags are known while it runs."""
        variables.tell_unknown(ctx)
        hub_seconds()  # a wrong value is an error before anything waits
        with variables.in_force(ctx.meta[GIVEN]):
            try:
                return super().invoke(ctx)
            except ShowHelp:
                typer.echo(ctx.get_help(), err=True)
                raise typer.Exit(2) from None


def _is_path(parameter: Any) -> bool:
    """Whether a command takes a Path; Typer before 0.29 makes it only when it calls the command."""
    return getattr(getattr(parameter, "type", None), "name", None) in PATH_TYPES


def _as_paths(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_as_paths(item) for item in value)
    return Path(value) if isinstance(value, str) else value


def _refuse_empty_files(parameters: list[Any], args: list[str]) -> None:
    """Raise for `-o ""`: Path("") would be the current folder."""
    flags = {flag for one in parameters if one.name in FILES for flag in one.opts}
    for before, word in pairwise(["", *args]):
        if before == "--":
            return
        flag = before if word == "" else word.removesuffix("=") if word.endswith("=") else ""
        if flag in flags and flag.startswith("-"):
            raise RecipeError(f"{as_typed(flag)}: an empty name")


def _shown_name(parameter: Any) -> str:
    """`--output-dir` of an option, `RECIPE` of an argument."""
    long = [name for name in parameter.opts if name.startswith("--")]
    return long[0] if long else str(parameter.name).upper()


def _checked(value: Any, name: str, flag: str) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_checked(item, name, flag) for item in value)
    if isinstance(value, Path):
        return Path(_file(str(value), flag))
    if not isinstance(value, str):
        return value
    return _file(value, flag) if name in FILES else _text(value, flag)


def _file(value: str, flag: str) -> str:
    if not value:
        raise RecipeError(f"{as_typed(flag)}: an empty name")
    if "\0" in value:
        raise RecipeError(f"{as_typed(flag)}: not a file name: it holds the character NUL")
    return os.path.expanduser(value)


def _text(value: str, flag: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as e:
        raise RecipeError(f"{as_typed(flag)}: not UTF-8 text", hint="give it in UTF-8") from e
    return value
