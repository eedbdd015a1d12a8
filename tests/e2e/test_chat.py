"""`hfcli chat`, through a pseudo-terminal and through a pipe."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hfcli.generation.chat import Conversation
from hfcli.recipe.sections import GenerationSettings
from tests.e2e.test_generate_text import tiny_chat  # noqa: F401 - a fixture
from tests.helpers import ROOT, SLOW, hfcli

# Makes the terminal on stdin its controlling one, so that a typed Ctrl-C is a signal. In a process
# of its own: nothing but exec is safe in a fork of a process with threads.
ON_ITS_TERMINAL = (
    "import fcntl, os, sys, termios\n"
    "os.setsid()\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
)


class Terminal:
    """`hfcli chat` on a terminal of its own."""

    def __init__(self, *arguments: str | Path, how: Sequence[str] = ("-m", "hfcli")) -> None:
        self.screen, terminal = os.openpty()
        command = [sys.executable, "-c", ON_ITS_TERMINAL, *how, "chat"]
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=ROOT,
            env={**os.environ, "TERM": "dumb"},
        )
        os.close(terminal)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def wait_for(self, pattern: str, seconds: float = 60) -> str:
        """What is on the screen up to the pattern."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.screen], [], [], max(0, end - time.monotonic()))
            assert ready, f"{pattern!r} never came; seen: {self.seen!r}"
            try:
                self.seen += os.read(self.screen, 65536).decode(errors="replace")
            except OSError:  # how a pseudo-terminal says that the other side has gone
                raise AssertionError(f"{pattern!r} never came; seen: {self.seen!r}") from None
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    def say(self, text: str, pattern: str) -> str:
        """Type a line, and wait for its answer and the prompt after it.

        The prompt matters: before it, the line editor does not listen.
        """
        self.type(f"{text}\n")
        answer = self.wait_for(pattern)
        self.wait_for("> ")
        return answer

    def press(self, key: str) -> None:
        """Type a control key, as fast as a person could.

        CPython shows the prompt a moment before it waits for input, and a signal in that moment
        is seen with the next key only.
        """
        time.sleep(0.3)
        self.type(key)

    def leaves_with(self) -> int:
        return self.process.wait(timeout=60)


DONE = r"\[(\d+) tokens, [\d.]+ tokens/s; prompt: (\d+) new, (\d+) cached(, stopped)?\]"


def test_a_conversation_on_a_terminal(tiny_chat: Path, tmp_path: Path) -> None:  # noqa: F811
    chat = Terminal("--model", tiny_chat, "--max-new-tokens", "8", "--system", "Be kind")
    chat.wait_for("Ctrl-D leaves")
    chat.wait_for("> ")
    first = re.search(DONE, chat.say("The lamp", DONE))
    assert first
    second = re.search(DONE, chat.say("Brea\x7fad", DONE))  # a key taken back
    assert second
    assert int(second[3]) >= int(first[2]), "what was read stays read"
    assert int(second[2]) < int(first[2]) + int(first[1]) + 20
    saved = tmp_path / "talk.json"
    chat.say(f"/save {saved}", "5 messages in")
    messages = json.loads(saved.read_text())
    assert [m["role"] for m in messages] == ["system", *["user", "assistant"] * 2]
    assert messages[3]["content"] == "Bread"
    chat.say("/undo", "last turn removed")
    chat.say("/save", "needs a file name")
    chat.say("/nonsense", "unknown command")
    chat.say(f"/load {saved}", "5 messages from")
    chat.say("/load nowhere.json", "error: nowhere.json: cannot be read")
    chat.say("/reset", "conversation cleared")
    chat.press("\x03")
    chat.wait_for("Ctrl-D leaves")
    chat.wait_for("> ")
    chat.press("\x04")
    assert chat.leaves_with() == 0


def test_ctrl_c_stops_the_answer_and_keeps_its_text(tmp_path: Path) -> None:
    flags = ("--model", "bundled", "--no-chat-template", "--max-new-tokens", "450")
    chat = Terminal(*flags, how=("-c", SLOW))
    chat.wait_for("> ")
    chat.type("The people of the United States\n")
    chat.wait_for("States\r\n")
    chat.wait_for(r"\w+ \w+")
    chat.type("\x03")
    found = re.search(DONE, chat.wait_for(DONE))
    assert found
    assert found[4] == ", stopped"
    chat.wait_for("> ")
    saved = tmp_path / "talk.json"
    chat.say(f"/save {saved}", "2 messages")
    assert json.loads(saved.read_text())[1]["content"]
    chat.press("\x04")
    assert chat.leaves_with() == 0


def test_a_pipe_gets_the_answers_only(tiny_chat: Path) -> None:  # noqa: F811
    flags = ["--model", str(tiny_chat), "--max-new-tokens", "8", "--greedy"]
    done = hfcli("chat", *flags, stdin=f"The lamp\nBread\n{'lamp ' * 600}\n")
    assert done.returncode == 3, "the third question is too long"
    assert "hint: /undo" in done.stderr
    assert len(re.findall(DONE, done.stderr)) == 2
    one = hfcli("generate", "The lamp", *flags, "--json")
    assert done.stdout.startswith(json.loads(one.stdout)["text"] + "\n")


def test_the_prompt_sign_is_no_part_of_what_is_kept_in_a_file(tiny_chat: Path) -> None:  # noqa: F811
    screen, terminal = os.openpty()
    flags = ["--model", str(tiny_chat), "--max-new-tokens", "8", "--greedy"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hfcli", "chat", *flags],
        stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    os.close(terminal)
    os.write(screen, b"The lamp\n\x04")
    answers, told = process.communicate(timeout=120)
    os.close(screen)
    assert process.returncode == 0, told
    one = hfcli("generate", "The lamp", *flags, "--json")
    assert answers == json.loads(one.stdout)["text"] + "\n"
    assert "> " in told


def test_a_model_without_a_chat_template_is_told(tiny_gpt2: Path) -> None:
    done = hfcli("chat", "--model", tiny_gpt2, stdin="hello\n")
    assert done.returncode == 4
    assert "--no-chat-template" in done.stderr


def open_chat(folder: Path, **options: Any) -> Conversation:
    from hfcli.generation.loading import ModelChoice, load_for_generation

    loaded = load_for_generation(ModelChoice(str(folder), device="cpu"), print)
    settings = GenerationSettings(max_new_tokens=12, **options)
    return Conversation(loaded=loaded, settings=settings, system="Be kind")


@pytest.mark.parametrize("options", [{"do_sample": False}, {"temperature": 1.0}])
def test_remembering_is_reading_again(
    tiny_chat: Path,  # noqa: F811
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    chat = open_chat(tiny_chat, **options)
    for question in ("The lamp", "Bread"):
        chat.say(question, lambda piece: None)
    chat.save(tmp_path / "talk.json")
    remembered = chat.say("The keeper", lambda piece: None)
    fresh = open_chat(tiny_chat, **options)
    fresh.load(tmp_path / "talk.json")
    read_again = fresh.say("The keeper", lambda piece: None)
    assert read_again.text == remembered.text
    assert read_again.n_kept == 0
    assert remembered.n_read < read_again.n_read
    assert remembered.n_read + remembered.n_kept == read_again.n_read
    chat.undo()
    assert chat.say("The keeper", lambda piece: None).text == remembered.text


def test_a_full_conversation_says_so_and_keeps_what_there_is(tiny_chat: Path) -> None:  # noqa: F811
    from hfcli.errors import DataError

    chat = open_chat(tiny_chat)
    before = list(chat.messages)
    with pytest.raises(DataError, match="the model takes 512"):
        chat.say("lamp " * 600, lambda piece: None)
    assert chat.messages == before
