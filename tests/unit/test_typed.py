"""Flags reach their meaning as typed: whatever a value looks like, it is that value."""

from __future__ import annotations

import ast
import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from hfcli.cli.app import app
from hfcli.cli.eval_request import EvalRequest
from hfcli.cli.finetune import FinetuneRequest, overrides_of
from hfcli.cli.typed import FILES, TypedCommand
from hfcli.errors import RecipeError
from hfcli.evaluation.target import Target
from hfcli.recipe.load import Draft, load_recipe
from hfcli.recipe.overrides import parse_override, split_names
from tests.helpers import RECIPES, ROOT

RECIPE = RECIPES / "bundled-text-classification.yaml"
# What YAML, or a shell, would take for something else.
ODD = (
    "runs/exp #2", "2026", "null", "true", "no", "0", "1e3", "0x10", "a: b", "[x]", "{a: b}", "- x",
    "*a", "&a b", "!x", "'q'", '"q"', "|", ">", "%", "@", "`", "a=b", "=", "--x", " lead", "é", "?",
)  # fmt: skip


def commands(command: Any = None, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""
    command = command or typer.main.get_command(app)
    if hasattr(command, "commands"):
        for word, inner in command.commands.items():
            yield from commands(inner, f"{name} {word}".strip())
    else:
        yield name, command


COMMANDS = dict(commands())


def parsed(name: str, arguments: list[str]) -> dict[str, Any]:
    """The parameters that a command would be called with."""
    context: Any = COMMANDS[name].make_context(name, arguments)
    return dict(context.params)


def text_options() -> list[tuple[str, str, str, bool]]:
    """(command, flag, parameter, repeatable) of every option that takes text."""
    found = []
    for name, command in COMMANDS.items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and _takes_text(command, parameter):
                flag = next(flag for flag in parameter.opts if flag.startswith("--"))
                found.append((name, flag, parameter.name, bool(parameter.multiple)))
    return found


def _takes_text(command: Any, parameter: Any) -> bool:
    hint = get_type_hints(command.callback)[parameter.name]
    return not {hint, *get_args(hint)}.isdisjoint({str, Path, list[str]})


def test_every_command_checks_its_texts() -> None:
    assert len(COMMANDS) > 10
    assert all(isinstance(command, TypedCommand) for command in COMMANDS.values())


@pytest.mark.parametrize("value", ODD)
def test_the_output_folder_is_what_was_typed(value: str) -> None:
    recipe = load_recipe(RECIPE, overrides_of(FinetuneRequest(recipe=RECIPE, output_dir=value)))
    assert recipe.output_dir == Path(os.path.normpath(Path.cwd() / value))


@pytest.mark.parametrize("value", ODD)
def test_the_flags_of_an_evaluation_are_what_was_typed(value: str, tmp_path: Path) -> None:
    request = EvalRequest(
        text_column=value, label_column=value, split=value, device=value, metric=[value],
        windows=value,
    )  # fmt: skip
    target = Target(model=value, data=(value,), revision=value, values=tuple(request.values()))
    draft = Draft.from_flags({}, target.overrides())
    assert draft.data["task"] == {"text_column": value, "label_column": value, "windows": value}
    assert draft.data["model"] == {"name_or_path": value, "revision": value}
    assert draft.data["data"] == {"test": [value]}
    assert draft.data["evaluation"] == {"split": "test", "metrics": [value]}
    assert draft.data["device"] == value


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters='\r\n\0"')), min_size=1))
@settings(max_examples=60, deadline=None)
def test_names_with_commas_between_them_are_those_names(names: list[str]) -> None:
    names = [name.strip() for name in names]
    typed = ",".join(f'"{name}"' if "," in name else name for name in names)
    if all(names):
        assert split_names(typed, "--x") == names
    else:
        with pytest.raises(RecipeError, match="--x"):
            split_names(typed, "--x")


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_an_override_is_a_value_or_a_recipe_error(text: str) -> None:
    with contextlib.suppress(RecipeError):
        assert parse_override(text).key == text.partition("=")[0]


@pytest.mark.parametrize(("command", "flag", "name", "many"), text_options())
def test_every_text_option_is_taken_as_it_is_typed(
    command: str, flag: str, name: str, many: bool
) -> None:
    required = {
        "recipes init": ["--data", "d"], "recipes show": ["n"], "recipes copy": ["n"],
        "recipes check": ["r"], "finetune": ["r"], "compare": ["a"],
        "export merge": ["a", "-o", "b"], "export push": ["a", "b"],
    }.get(command, [])  # fmt: skip
    for value in ("2026", "null", "a: b # c", "[x]", "a=b", "no"):
        got = parsed(command, [*required, f"{flag}={value}"])[name]
        assert str(got[-1] if many else got) == value
    with pytest.raises(RecipeError, match="not UTF-8" if name not in FILES else "empty name"):
        parsed(command, [*required, f"{flag}={'' if name in FILES else chr(0xDCFF)}"])
    home = parsed(command, [*required, f"{flag}=~/x"])[name]
    expected = os.path.expanduser("~/x") if name in FILES else "~/x"
    assert str(home[-1] if many else home) == expected


def test_there_are_options_to_look_at() -> None:
    assert len(text_options()) > 60


@pytest.mark.parametrize("override", ["output_dir=~/x", "data.train=~/d.csv"])
def test_a_home_folder_after_an_equals_sign(override: str) -> None:
    recipe = load_recipe(RECIPE, [override])
    home = os.path.expanduser(override.partition("=")[2])
    assert home in (str(recipe.output_dir), recipe.data.train[0])


def test_a_model_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    recipe = load_recipe(RECIPE, ["model.name_or_path=~/model"])
    assert recipe.model.name_or_path == str(tmp_path / "model")


def test_file_names_of_any_bytes_are_names() -> None:
    assert parsed("finetune", ["r\udcff.yaml"])["recipe"] in (Path("r\udcff.yaml"), "r\udcff.yaml")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_flag_is_one_sentence_of_less_than_80_characters(name: str) -> None:
    shown = {
        parameter.opts[0]: parameter.help
        for parameter in COMMANDS[name].params
        if parameter.opts[0] not in ("--without", "--help")  # the names of all optimizations
    }
    assert all(shown.values())
    assert {flag: text for flag, text in shown.items() if len(text) >= 80} == {}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "hfcli" / "cli").glob("*.py")), ids=lambda p: p.stem
)
def test_no_function_of_the_command_line_takes_a_mapping_of_flags(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            for one in (*node.args.args, *node.args.kwonlyargs):
                kind = ast.unparse(one.annotation) if one.annotation else ""
                assert not re.match(r"(dict|Mapping)\[str, (Any|object)\]", kind), (
                    node.name,
                    one.arg,
                )
        assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "context.params")
