"""What hfcli keeps for its next start, and the names that switch things off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hfcli.cache import cache_folder, remember, remembered
from hfcli.cli.options import Without
from hfcli.cli.validate import disabled
from hfcli.errors import RecipeError
from hfcli.fast import SPEED_UPS, current_name, names
from hfcli.fast.protocol import Stage
from hfcli.recipe.load import load_recipe
from tests.helpers import ROOT, hfcli


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
    done = hfcli("generate", "x", "--without", "fused-dekoder")
    assert done.returncode == 2
    assert "--without: unknown value 'fused-dekoder', did you mean fused-decoder?" in done.stderr


def test_help_names_every_switch() -> None:
    (option,) = Without.__metadata__  # type: ignore[attr-defined]
    assert names("inference")
    assert all(name in option.help for name in names("inference"))


def test_names_are_told_apart() -> None:
    every = [name for one in SPEED_UPS for name in (one.name, *one.aliases)]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize(
    ("given", "stage", "name"),
    [
        ("lean-start", "inference", "deferred-imports"),
        ("forward", "inference", "fused-decoder"),
        ("prepack", "inference", "prepacked-weights"),
        ("guesses", "inference", "speculative-decoding"),
        ("activation", "training", "gelu"),
        ("optimizer", "training", None),
        ("dropout", "training", None),
    ],
)
def test_names_of_earlier_versions_are_read_with_a_notice(
    given: str, stage: Stage, name: str | None
) -> None:
    found, notice = current_name(given, stage)
    assert found == name
    assert notice is not None
    assert given in notice


def test_a_renamed_switch_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert disabled(["prepack", "bfloat16"]) == {"prepacked-weights", "bfloat16"}
    assert capsys.readouterr().err == "note: --without prepack is called prepacked-weights now\n"


def test_the_old_key_of_a_recipe_is_read_with_a_notice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "d.csv"
    data.write_text("text\nA boat.\n")
    path = tmp_path / "r.yaml"
    path.write_text(
        "task: {name: text-generation}\nmodel: {name_or_path: bundled}\n"
        "data: {train: d.csv}\noutput_dir: out\n"
        "training:\n  plain: [activation, optimizer]\n"
    )
    recipe = load_recipe(path)
    assert recipe.training.disable_optimizations == ["gelu"]
    assert len(caplog.messages) == 3
    assert "training.plain is called training.disable_optimizations now" in caplog.text
    with pytest.raises(RecipeError, match="disable_optimizations"):
        load_recipe(path, ["training.plain=[gelo]"])


def test_the_docs_tell_of_every_speed_up() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert [one.name for one in SPEED_UPS if f"`{one.name}`" not in text] == []
