"""What hfcli keeps for its next start, and the names that switch things off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hfcli.cache import cache_folder, remember, remembered
from hfcli.cli.options import Without
from hfcli.fast.bfloat16 import SWITCHES
from tests.helpers import hfcli


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path / "cache"))


def test_what_is_remembered_is_told_again_under_its_key_only() -> None:
    remember("starts", ["a", 1], {"x": [1.5]})
    assert remembered("starts", ["a", 1]) == {"x": [1.5]}
    assert remembered("starts", ["a", 2]) is None
    assert remembered("others", ["a", 1]) is None


def test_half_a_file_is_no_memory() -> None:
    remember("starts", "a", list(range(100)))
    (path,) = (cache_folder() / "starts").iterdir()
    path.write_text(path.read_text()[:50])
    assert remembered("starts", "a") is None


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    remember("starts", "a", 1)
    assert remembered("starts", "a") is None
    assert os.listdir(tmp_path) == ["cache"]


def test_an_unknown_switch_is_told_with_those_there_are() -> None:
    done = hfcli("generate", "x", "--without", "preback")
    assert done.returncode == 2
    assert "--without: unknown value 'preback', did you mean prepack?" in done.stderr


def test_help_names_every_switch() -> None:
    (option,) = Without.__metadata__  # type: ignore[attr-defined]
    assert SWITCHES
    assert all(name in option.help for name in SWITCHES)
