"""Every flag can come from the environment, and means there what it means where it is typed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from hfcli.cli import variables
from hfcli.cli.app import app
from hfcli.cli.eval_request import EvalRequest
from hfcli.cli.evaluate import overrides_over
from hfcli.cli.finetune import FinetuneRequest, _resume_command, overrides_of
from hfcli.errors import RecipeError
from hfcli.recipe.load import load_recipe
from tests.helpers import RECIPES, hfcli
from tests.unit.test_typed import COMMANDS, parsed

RECIPE = RECIPES / "bundled-text-classification.yaml"
ARGUMENTS = {
    "recipes show": ["n"], "recipes copy": ["n"], "recipes check": ["r"], "finetune": ["r"],
    "compare": ["a"], "export merge": ["a"], "export push": ["a", "b"],
}  # fmt: skip
REQUIRED = {"recipes init": ("--data", "d"), "export merge": ("--output", "b")}


def option_cases() -> list[tuple[str, str, Any]]:
    """(command, name of the variable, option) of every option of every command."""
    found = []
    for name, command in COMMANDS.items():
        for option in command.params:
            if option.param_type_name == "option":
                flag = next(flag for flag in option.opts if flag.startswith("--"))
                words = f"{name} {flag[2:]}".upper().replace("-", "_").replace(" ", "_")
                found.append((name, f"HFCLI_{words}", option))
    return found


CASES = option_cases()
IDS = [name for _, name, _ in CASES]


def words_for(command: str, option: Any = None) -> list[str]:
    """What must be typed, beside the option."""
    flag, value = REQUIRED.get(command, ("", ""))
    needed = [f"{flag}={value}"] if flag and (option is None or flag not in option.opts) else []
    return [*ARGUMENTS.get(command, []), *needed]


def takes_text(command: str, option: Any) -> bool:
    flag = next(flag for flag in option.opts if flag.startswith("--"))
    try:
        parsed(command, [*words_for(command, option), f"{flag}=a b"])
    except typer.BadParameter:
        return False
    return True


def values(command: str, option: Any) -> list[tuple[str, list[str]]]:
    """(value of the variable, what is typed for it)."""
    flag = next(flag for flag in option.opts if flag.startswith("--"))
    if option.is_flag:
        no = option.secondary_opts[:1]
        answers = [(word, [flag]) for word in ("1", "true", "Yes", "on")]
        return [*answers, *((word, no) for word in ("0", "false", "No", "off"))]
    if not takes_text(command, option):
        return [("1", [f"{flag}=1"])]
    if option.multiple:
        lines = ["a b", "-x", "c\\n=d, 'e\""]
        return [
            (lines[0], [f"{flag}={lines[0]}"]),
            ("\n".join(lines), [f"{flag}={line}" for line in lines]),
        ]
    return [(text, [f"{flag}={text}"]) for text in ("a b", "-x", "~/x", "2026", "null", "é\n#")]


def test_there_are_options_of_every_command() -> None:
    assert len(CASES) > 100
    assert {command for command, _, _ in CASES} == {
        name for name, command in COMMANDS.items()
        if any(one.param_type_name == "option" for one in command.params)
    }  # fmt: skip
    assert len(set(IDS)) == len(IDS)
    known = variables.known_variables(typer.main.get_command(app))
    assert known.keys() == set(IDS)
    assert not known.keys() & variables.OWN.keys()


@pytest.mark.parametrize(("command", "name", "option"), CASES, ids=IDS)
def test_a_variable_gives_what_its_flag_gives(
    command: str, name: str, option: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = words_for(command, option)
    for value, arguments in values(command, option):
        expected = parsed(command, [*words, *arguments])
        monkeypatch.setenv(name, value)
        assert parsed(command, words) == expected, value
        monkeypatch.delenv(name)


@pytest.mark.parametrize(("command", "name", "option"), CASES, ids=IDS)
def test_a_typed_flag_wins(
    command: str, name: str, option: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = next(flag for flag in option.opts if flag.startswith("--"))
    words = words_for(command, option)
    typed = [flag] if option.is_flag else [f"{flag}=1"]
    expected = parsed(command, [*words, *typed])
    monkeypatch.setenv(name, "0" if option.is_flag else "8")
    assert parsed(command, [*words, *typed]) == expected
    if option.secondary_opts:
        monkeypatch.setenv(name, "1")
        off = [option.secondary_opts[0]]
        assert parsed(command, off)[option.name] is False


@pytest.mark.parametrize(("command", "name", "option"), CASES, ids=IDS)
def test_an_empty_variable_is_not_set(
    command: str, name: str, option: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = words_for(command)
    expected = parsed(command, words)
    monkeypatch.setenv(name, "")
    assert parsed(command, words) == expected


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("generate", "HFCLI_GENERATE_SEED", "x"),
        ("generate", "HFCLI_GENERATE_TOP_P", "2"),
        ("generate", "HFCLI_GENERATE_JSON", "maybe"),
        ("compare", "HFCLI_COMPARE_FLIPS", "-1"),
    ],
)
def test_an_error_names_the_variable(
    command: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(typer.BadParameter) as e:
        parsed(command, words_for(command))
    assert name in e.value.format_message()


def test_a_text_that_is_not_utf8_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFCLI_GENERATE_SYSTEM", "\udcff")
    with pytest.raises(RecipeError) as e:
        parsed("generate", [])
    assert e.value.lines == ["HFCLI_GENERATE_SYSTEM: not UTF-8 text"]


def test_resume_and_overwrite_never_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFCLI_FINETUNE_OVERWRITE", "1")
    assert parsed("finetune", ["r"])["overwrite"]
    resumed = parsed("finetune", ["r", "--resume"])
    assert (resumed["resume"], resumed["overwrite"]) == (True, False)


@pytest.fixture
def set_by_variable() -> Iterator[None]:
    given = [
        variables.Variable("HFCLI_FINETUNE_SET", "", "set_", ("--set",), ()),
        variables.Variable("HFCLI_FINETUNE_DEVICE", "", "device", ("--device",), ()),
    ]
    with variables.in_force(given):
        yield


@pytest.mark.usefixtures("set_by_variable")
def test_a_recipe_is_overridden_by_variables_and_these_by_what_is_typed() -> None:
    flags = FinetuneRequest(recipe=RECIPE, output_dir="typed", device="cuda")
    request = replace(flags, set_=["seed=5", "output_dir=given"])
    recipe = load_recipe(RECIPE, overrides_of(request))
    assert (recipe.seed, recipe.device, recipe.output_dir) == (5, "cuda", Path.cwd() / "typed")
    request = replace(flags, overrides=["device=cpu", "seed=6"], set_=["seed=5"])
    recipe = load_recipe(RECIPE, overrides_of(request))
    assert (recipe.seed, recipe.device) == (6, "cpu")
    swept = FinetuneRequest(recipe=RECIPE, set_=["seed=5", "device=cpu"], sweep=["seed=1,2"])
    assert [one.key for one in overrides_of(swept)] == ["device"], (
        "a typed sweep goes over a variable, too"
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("HFCLI_GENERATE_SED", "HFCLI_GENERATE_SEED"),
        ("HFCLI_GENERATE_GREEDY", "HFCLI_GENERATE_DO_SAMPLE=0"),
        ("HFCLI_EVAL_LABEL", "HFCLI_EVAL_LABEL_COLUMN"),
        ("HFCLI_MODELL", "HFCLI_MODEL"),
        ("HFCLI_ZZZZ9", None),
    ],
)
def test_an_unknown_variable_is_noted(
    name: str, near: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = typer.main.get_command(app)
    monkeypatch.setenv(name, "1")
    assert variables.unknown_variables(group)[name] == near


def test_a_command_says_what_it_does_not_know_and_what_it_took() -> None:
    noted = hfcli("recipes", "list", env={"HFCLI_RECIPES_LIST_JSN": "1"})
    assert noted.stderr == (
        "note: HFCLI_RECIPES_LIST_JSN is not a variable of hfcli;"
        " did you mean HFCLI_RECIPES_LIST_JSON?\n"
    )
    taken = hfcli("recipes", "list", env={"HFCLI_RECIPES_LIST_JSON": "1"})
    assert json.loads(taken.stdout)
    assert taken.stderr == ""
    wrong = hfcli("generate", "x", env={"HFCLI_GENERATE_DTYPE": "int3"})
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: HFCLI_GENERATE_DTYPE: unknown value 'int3'")
    assert "Usage" in hfcli("generate", "--help", env={"HFCLI_GENERATE_JSON": "maybe"}).stdout


def test_a_command_line_is_one_for_a_shell() -> None:
    given = [variables.Variable("HFCLI_EVAL_DATA", "a b", "data", ("--data",), ())]
    with variables.in_force(given):
        line = variables.command_line(["eval", "x y"])
    assert line == "HFCLI_EVAL_DATA='a b' hfcli eval 'x y'"
    assert shlex.split(line)[0] == "HFCLI_EVAL_DATA=a b"
    assert variables.variables_in_force() == {}


def test_a_typed_flag_of_eval_goes_over_a_variable_with_overrides() -> None:
    request = EvalRequest(
        overrides=["seed=1"], set_=["device=cuda", "task.context=8", "seed=2"], device="cpu"
    )

    def over() -> list[tuple[str, Any]]:
        return [(one.key, one.value) for one in overrides_over(request.values(), request)]

    given = [variables.Variable("HFCLI_EVAL_SET", "", "set_", ("--set",), ())]
    with variables.in_force(given):
        assert over() == [("task.context", 8), ("seed", 2), ("seed", 1)]
    assert over() == [("seed", 1), ("device", "cuda"), ("task.context", 8), ("seed", 2)]


def test_the_command_that_resumes_wins_over_the_variable_that_overwrites(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["hfcli", "finetune", "r.yaml", "--overwrite"])
    given = [variables.Variable("HFCLI_FINETUNE_OVERWRITE", "1", "overwrite", ("--overwrite",), ())]
    with variables.in_force(given):
        line = _resume_command()
    assert line == "HFCLI_FINETUNE_OVERWRITE=1 hfcli finetune r.yaml --resume"
    name, _, value = shlex.split(line)[0].partition("=")
    monkeypatch.setenv(name, value)
    resumed = parsed("finetune", shlex.split(line)[3:])
    assert (resumed["resume"], resumed["overwrite"]) == (True, False)
