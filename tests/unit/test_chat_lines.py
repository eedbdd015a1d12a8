"""What a line of a conversation is, and how a conversation from a pipe ends."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hfcli.cli import stdin
from hfcli.cli.chat import converse
from hfcli.errors import DataError, ModelError
from tests.helpers import ROOT

QUESTIONS = [
    "/etc/hosts is what?", "/usr", "/usr/bin", "/tmp is full", "/2 of it", "//", "/", "/a-b",
    "/reset the router, how?", "/help me", " /undo", "a /reset", "and/or",
]  # fmt: skip
QUESTIONS.remove("/usr")  # a lone word is a command, known or not


class Talk:
    """Stands in for a conversation: what is asked, and which errors come."""

    def __init__(self, errors: dict[str, Exception]) -> None:
        self.errors = errors
        self.asked: list[str] = []
        self.done: list[str] = []
        self.messages: list[Any] = []

    def say(self, text: str, on_text: Callable[[str], None]) -> Any:
        self.asked.append(text)
        if text in self.errors:
            raise self.errors[text]
        on_text("yes")
        return SimpleNamespace(n_new_tokens=1, seconds=1, interrupted=False, n_read=1, n_kept=0)

    def reset(self) -> None:
        self.done.append("reset")

    def undo(self) -> bool:
        self.done.append("undo")
        return True

    def save(self, path: Path) -> None:
        self.done.append(f"save {path}")

    def load(self, path: Path) -> None:
        raise DataError(f"{path}: cannot be read")


def talk(
    lines: list[str], monkeypatch: pytest.MonkeyPatch, errors: dict[str, Exception] | None = None
) -> tuple[Talk, int]:
    conversation: Any = Talk(errors or {})
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    return conversation, converse(conversation)


def test_every_line_from_a_pipe_is_asked_done_or_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said, code = talk([*QUESTIONS, "", "/undo", "/save a b.json ", "/reset "], monkeypatch)
    assert said.asked == QUESTIONS
    assert said.done == ["undo", "save a b.json", "reset"]
    assert code == 0
    assert "error" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "error", "code"),
    [
        ("/nonsense", None, 2),
        ("/usr", None, 2),
        ("/save", None, 2),
        ("/load nowhere.json", None, 3),
        ("too long", DataError("the prompt has 900 tokens"), 3),
        ("refused", ModelError("its chat template refuses this"), 4),
    ],
)
def test_a_line_that_fails_is_told_the_others_are_done_and_the_exit_code_is_its(
    line: str, error: Exception | None, code: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    errors = {} if error is None else {line: error}
    said, ended = talk(["first", line, "last", "/load other.json"], monkeypatch, errors)
    assert ended == code
    assert [text for text in said.asked if text != line] == ["first", "last"]
    assert capsys.readouterr().err.count("error: ") == 2


def test_bytes_that_are_no_text_are_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", broken)
    with pytest.raises(DataError, match="not UTF-8"):
        converse(Talk({}))  # type: ignore[arg-type]


def test_help_tells_the_length_that_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hfcli", "chat", "--help"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    from hfcli.generation.chat import DEFAULT_MAX_ANSWER_TOKENS

    assert f"else {DEFAULT_MAX_ANSWER_TOKENS}" in " ".join(done.stdout.split())
    assert stdin.SILENCE == 2
