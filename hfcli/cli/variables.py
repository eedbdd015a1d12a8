"""Flags from the environment: `HFCLI_GENERATE_SEED=1` is `hfcli generate --seed 1`.

Values go through the parser of the command line, in front of what was typed, so that they mean
what they would mean there. A typed flag wins. An empty variable counts as not set.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from hfcli import shell
from hfcli.errors import did_you_mean
from hfcli.origins import as_typed, typed_at
from hfcli.render.streams import write_err

if TYPE_CHECKING:
    from hfcli.recipe.overrides import Override

PREFIX = "HFCLI_"
# Variables that are not a flag of one command, and what they set.
OWN = {
    "HFCLI_MODEL": "the model of generate, chat and eval without --model",
    "HFCLI_CACHE": "the folder of hfcli's cache",
    "HFCLI_HUB_TIMEOUT": "seconds without progress after which a transfer fails",
    "HFCLI_DEBUG": "tracebacks of known errors",
}
YES = ("1", "true", "yes", "on")
NO = ("0", "false", "no", "off")
EXCLUDES = {"resume": "overwrite", "overwrite": "resume"}
_IN_FORCE: ContextVar[Sequence[Variable]] = ContextVar("variables", default=())


@dataclass(frozen=True)
class Variable:
    """A variable that gives the value of an option.

    Attributes:
        name, value: as they stand in the environment.
        parameter: the option's name in Python.
        flags: all of its long names.
        arguments: what would have to be typed for it.
    """

    name: str
    value: str
    parameter: str
    flags: tuple[str, ...]
    arguments: tuple[str, ...]


def given_variables(command: Any, context: Any, arguments: Sequence[str]) -> list[Variable]:
    """Return the variables that give options which were not typed.

    Args:
        command, context: Typer's.
        arguments: as they were typed.

    Raises:
        typer.BadParameter: a switch has another value than yes or no.
    """
    before = _prefix(_words(context))
    there = [(one, before + _suffix(_long(one)[0])) for one in _options(command)]
    there = [(one, name) for one, name in there if os.environ.get(name)]
    if not there or context.resilient_parsing:
        return []
    typed = command.make_parser(context).parse_args(args=list(arguments))[0]
    asks_help = command.get_help_option(context)
    if asks_help is not None and asks_help.name in typed:
        return []
    return [
        _read(option, name, context)
        for option, name in there
        if option.name not in typed and EXCLUDES.get(option.name) not in typed
    ]


def _words(context: Any) -> list[str]:
    """The names of a command and of the groups around it, without the program's."""
    words: list[str] = []
    while context is not None:
        if context.parent is not None or not hasattr(context.command, "commands"):
            words.insert(0, context.info_name)
        context = context.parent
    return " ".join(words).split()


def _prefix(words: Sequence[str]) -> str:
    return PREFIX + "".join(f"{word}_" for word in words).upper().replace("-", "_")


def _suffix(flag: str) -> str:
    return flag.lstrip("-").upper().replace("-", "_")


def _options(command: Any) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "option" and _long(one)]


def _long(option: Any) -> tuple[str, ...]:
    return tuple(flag for flag in option.opts if flag.startswith("--"))


def _read(option: Any, name: str, context: Any) -> Variable:
    value = os.environ[name]
    flag = _long(option)[0]
    if option.is_flag:
        answer = value.lower()
        if answer not in (*YES, *NO):
            raise typer.BadParameter(
                f"expected 1, true, yes, 0, false or no, found {value!r}",
                ctx=context,
                param_hint=name,
            )
        arguments = [flag] if answer in YES else list(option.secondary_opts[:1])
    else:
        values = [line for line in value.split("\n") if line] if option.multiple else [value]
        arguments = [f"{flag}={one}" for one in values]
    return Variable(name, value, option.name, _long(option), tuple(arguments))


def _commands(group: Any, words: Sequence[str] = ()) -> Iterator[tuple[Sequence[str], Any]]:
    """Every command below a group, and the words that name it."""
    for word, command in group.commands.items():
        inner = (*words, word)
        if hasattr(command, "commands"):
            yield from _commands(command, inner)
        else:
            yield inner, command


def known_variables(group: Any) -> dict[str, str]:
    """Return every variable that sets a flag, and the flag: `generate --seed`."""
    found: dict[str, str] = {}
    for words, command in _commands(group):
        for option in _options(command):
            flag = _long(option)[0]
            found[_prefix(words) + _suffix(flag)] = f"{' '.join(words)} {flag}"
    return found


def _other_names(group: Any) -> dict[str, str]:
    """Names that one could take for variables: those of further flags of an option."""
    found: dict[str, str] = {}
    for words, command in _commands(group):
        for option in _options(command):
            first, *more = (_prefix(words) + _suffix(flag) for flag in _long(option))
            found |= dict.fromkeys(more, first)
            for flag in option.secondary_opts:
                found[_prefix(words) + _suffix(flag)] = f"{first}=0"
    return found


def unknown_variables(group: Any) -> dict[str, str | None]:
    """Return the variables with hfcli's prefix that set nothing, and what may have been meant.

    Args:
        group: the program's commands.
    """
    names = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in OWN)
    if not names:
        return {}
    known = known_variables(group)
    unknown = [name for name in names if name not in known]
    others = _other_names(group) if unknown else {}
    return {name: others.get(name) or _nearest(name, [*known, *OWN]) for name in unknown}


def _nearest(name: str, known: Sequence[str]) -> str | None:
    near = did_you_mean(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known])
    return None if near is None else PREFIX + near


def tell_unknown(context: Any) -> None:
    """Write a line about each variable that sets nothing."""
    group = context.find_root().command
    for name, near in unknown_variables(group).items() if hasattr(group, "commands") else ():
        tail = f"; did you mean {near}?" if near else ""
        write_err(f"note: {name} is not a variable of hfcli{tail}")


@contextmanager
def in_force(variables: Sequence[Variable]) -> Iterator[None]:
    """Let the variables be known to a command; its errors name them in place of their flags."""
    token = _IN_FORCE.set(variables)
    try:
        with named(variables):
            yield
    finally:
        _IN_FORCE.reset(token)


@contextmanager
def named(variables: Sequence[Variable]) -> Iterator[None]:
    """Let errors about a flag that a variable gave name the variable."""
    with typed_at({flag: one.name for one in variables for flag in one.flags}):
        try:
            yield
        except typer.BadParameter as e:
            parameter = getattr(e.param, "name", None)
            hint = next((one.name for one in variables if one.parameter == parameter), None)
            if e.param_hint or hint is None:
                raise
            raise typer.BadParameter(e.message, e.ctx, e.param, hint) from e


def parameters_in_force() -> frozenset[str]:
    """Return the names, in Python, of the options that variables give."""
    return frozenset(one.parameter for one in _IN_FORCE.get())


def variables_in_force() -> dict[str, str]:
    """Return the variables that give options of the command at work, for its record."""
    return {one.name: one.value for one in _IN_FORCE.get()}


def in_order(
    overrides: Sequence[str] | None, set_: Sequence[str] | None
) -> tuple[list[Override], list[Override]]:
    """Return the overrides of a recipe that a variable gives, and those that were typed.

    Raises:
        RecipeError: one is not key=value.
    """
    from hfcli.recipe.overrides import parse_override

    given = [parse_override(text, as_typed("--set")) for text in set_ or ()]
    typed = [parse_override(text) for text in overrides or ()]
    return (given, typed) if "set_" in parameters_in_force() else ([], [*typed, *given])


def command_line(arguments: Sequence[str] | None = None) -> str:
    """Return the command at work as a shell takes it, with the variables that were in force.

    Args:
        arguments: default: as they were typed.
    """
    typed = sys.argv[1:] if arguments is None else arguments
    return _shell_line(variables_in_force(), ["hfcli", *typed])


def _shell_line(variables: Mapping[str, str], words: Sequence[str]) -> str:
    return shell.join(words, variables)
