"""The boundary: what the environment does to a command is one line and an exit code, never 1."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from hfcli.cli import app
from tests.helpers import ROOT
from tests.unit.test_files import FAULTS, LIBRARIES

FULL = Path("/dev/full")


def exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> tuple[int, str]:
    def fail(**_named: object) -> None:
        raise error

    monkeypatch.setattr(app, "app", fail)
    with pytest.raises(SystemExit) as caught:
        app.main()
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
def test_an_oserror_of_the_environment_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    error = OSError(number, os.strerror(number), "some/file")
    code, text = exit_code(monkeypatch, capsys, error)
    assert code == 5
    assert text.splitlines()[0] == f"error: some/file: {os.strerror(number)}"


@pytest.mark.parametrize("error", LIBRARIES, ids=str)
def test_what_libraries_raise_in_its_place_is_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    code, text = exit_code(monkeypatch, capsys, error)
    assert code == 5
    assert text.startswith("error: ")


def test_a_bug_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (KeyError("x"), OSError(errno.EBADF, "x"), RuntimeError("x")):
        with pytest.raises(type(error)):
            exit_code(monkeypatch, capsys, error)


def run(arguments: list[str], stdout: int | IO[str], stderr: int | IO[str]) -> int:
    command = [sys.executable, "-m", "hfcli", *arguments]
    return subprocess.run(command, stdout=stdout, stderr=stderr, cwd=ROOT, check=False).returncode


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    ("arguments", "code"), [(["recipes", "list"], 0), (["recipes", "show", "nowhere"], 2)]
)
def test_stderr_that_takes_nothing_changes_nothing(arguments: list[str], code: int) -> None:
    with FULL.open("w") as full:
        assert run(arguments, subprocess.DEVNULL, full) == code


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["recipes", "list"]])
def test_stdout_that_takes_nothing_is_a_fault_of_the_run(arguments: list[str]) -> None:
    with FULL.open("w") as full:
        assert run(arguments, full, full) == 5
        assert run(arguments, full, subprocess.DEVNULL) == 5
