"""stdin is read where it is meant for the prompt, and nobody waits for it without being told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hfcli.cli import stdin
from hfcli.cli.stdin import read_prompt
from hfcli.errors import DataError

ASK = (
    "import sys; from hfcli.cli import stdin; from hfcli.cli.stdin import read_prompt\n"
    "stdin.SILENCE, stdin.PATIENCE = 0.3, 0.9\n"
    "print(repr(read_prompt(sys.argv[1] if len(sys.argv) > 1 else None)))\n"
)


def ask(shell: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `ask` is the part of `hfcli generate` that reads the prompt."""
    (cwd / "ask.py").write_text(ASK)
    line = f'ask() {{ {sys.executable} ask.py "$@"; }}; {shell}'
    root = Path(__file__).parents[2]
    return subprocess.run(
        ["bash", "-c", line], cwd=cwd, text=True, capture_output=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(root)}, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shell", "prompts"),
    [
        ("echo ctx | ask summarise", ["ctx\nsummarise"]),
        ("(sleep 0.5; echo late) | ask summarise", ["late\nsummarise"]),
        ("echo ctx > f; ask summarise < f", ["ctx\nsummarise"]),
        ("ask summarise <<< here", ["here\nsummarise"]),
        ("echo only | ask", ["only"]),
        ("echo only | ask -", ["only"]),
        ("ask hi </dev/null", ["hi"]),
        ("ask hi </dev/zero", ["hi"]),
        ("ask hi <&-", ["hi"]),
        ("true | ask hi", ["hi"]),
        ("ask hi < <(exec sleep 20 2>&-)", ["hi"]),
        ("printf 'one\\ntwo\\nthree\\n' > l; while read x; do ask \"say $x\"; done < l",
         ["say one", "say two", "say three"]),
        ("printf 'one\\ntwo' > l; while read x || [ -n \"$x\" ]; do ask \"$x\"; done < l",
         ["one", "two"]),
        ("seq 3 | while read x; do ask \"$x\" </dev/null; done", ["1", "2", "3"]),
        ("mkfifo p; (exec 3<>p; ask hi <p)", ["hi"]),
        ("mkfifo p; (echo ctx >p &) ; ask hi <p", ["ctx\nhi"]),
    ],
)  # fmt: skip
def test_what_the_prompt_is(shell: str, prompts: list[str], tmp_path: Path) -> None:
    began = time.monotonic()
    done = ask(shell, tmp_path)
    assert done.stdout.splitlines() == [repr(prompt) for prompt in prompts], done.stderr
    assert time.monotonic() - began < 15
    waited = "sleep 20" in shell or "3<>p" in shell
    assert ("waiting for stdin" in done.stderr) >= waited
    assert ("stdin had no data and is not read" in done.stderr) == waited
    joined = any("\n" in prompt for prompt in prompts)
    assert ("stand before the prompt" in done.stderr) == joined


def test_waiting_without_a_prompt_is_told_and_goes_on(tmp_path: Path) -> None:
    for shell in ("(sleep 1.5; echo late) | ask", "(echo a; sleep 1.5; echo b) | ask x"):
        done = ask(shell, tmp_path)
        assert done.stderr.count("waiting for stdin") == 1
        assert done.stdout in ("'late'\n", "'a\\nb\\nx'\n")


def test_a_socket_without_data_is_left_out_and_one_with_data_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stdin, "SILENCE", 0.05)
    monkeypatch.setattr(stdin, "PATIENCE", 0.1)
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.makefile("r") as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert read_prompt("hi") == "hi"
        assert "waiting for stdin" in capsys.readouterr().err
        ours.sendall(b"ctx\n")
        ours.shutdown(socket.SHUT_WR)
        assert read_prompt("hi") == "ctx\nhi"


@pytest.mark.parametrize(
    ("data", "told"), [(b"caf\xe9 au lait", "byte 0xe9 at position 3"), (b"x" * 200, "too long")]
)
def test_what_is_no_prompt_is_a_data_error(
    data: bytes, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdin, "MOST", 100)
    (tmp_path / "f").write_bytes(data)
    with (tmp_path / "f").open() as file:
        patched: Any = file
        monkeypatch.setattr(sys, "stdin", patched)
        with pytest.raises(DataError, match=told):
            read_prompt(None)
