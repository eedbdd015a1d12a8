"""A Trainer that lacks a hook is refused, whether the method is gone or nobody calls it."""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any

import pytest

from hfcli.errors import RunError
from hfcli.training.hooks import EVENTS, METHODS, check_trainer, missing_hooks


def trainer(*, without: str = "", uncalled: str = "", narrow: str = "") -> type:
    """A class like Trainer: a loop that calls its methods.

    Args:
        without: name of a method that it has not.
        uncalled: name of a method that the loop does not call, or event that it does not tell.
        narrow: name of a method without parameters.
    """
    lines = ["class Trainer:"]
    for name, parameters in METHODS.items():
        if name != without:
            taken = () if name == narrow else parameters
            lines += [f"    def {name}({', '.join(['self', *taken])}): pass"]
    lines += ["    def _loop(self):", "        def inner():", "            pass"]
    for name in (*METHODS, *EVENTS):
        if name != uncalled:
            lines += [f"            self.{name}"]
    space: dict[str, Any] = {}
    exec("\n".join(lines), space)
    made: type = space["Trainer"]
    loop: Any = vars(made)["_loop"]

    @functools.wraps(loop)
    def decorated(self: Any) -> None:
        loop(self)

    made._loop = decorated  # type: ignore[attr-defined]
    return made


def test_a_trainer_with_every_hook_passes() -> None:
    assert missing_hooks(trainer()) == []
    check_trainer(trainer())


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_is_gone_or_takes_something_else_is_missed(name: str) -> None:
    assert missing_hooks(trainer(without=name)) == [name]
    assert missing_hooks(trainer(narrow=name)) == ([name] if METHODS[name] else [])


@pytest.mark.parametrize("name", [*METHODS, *EVENTS])
def test_a_hook_that_nothing_uses_is_missed(name: str) -> None:
    assert missing_hooks(trainer(uncalled=name)) == [name]


def test_the_refusal_names_the_version_and_ends_with_5(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("transformers")
    other.__version__ = "5.0.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", other)
    with pytest.raises(RunError) as caught:
        check_trainer(trainer(without="training_step"))
    assert caught.value.exit_code == 5
    assert caught.value.message == (
        "transformers 5.0.0: its Trainer lacks training_step, needed to stop on NaN, score"
        " and resume"
    )
    assert "transformers>=5.4,<6" in (caught.value.hint or "")
