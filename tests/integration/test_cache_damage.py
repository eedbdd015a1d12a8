"""A damaged, absent, full or unwritable cache changes nothing but the time a run takes."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gguf_file import write_gguf
from hfcli import cache, files
from hfcli.device import Placement
from hfcli.errors import HfcliError
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import TextOptions, generate
from hfcli.recipe.load import load_recipe
from hfcli.recipe.sections import GenerationSettings
from hfcli.training.setup import RunSetup, set_up
from tests.conftest import build_gpt2
from tests.damage import DAMAGES
from tests.integration.test_training import write_recipe

TASKS: dict[str, dict[str, Any]] = {
    "language model": {"name": "text-generation", "block_size": 40},
    "classification": {"name": "text-classification"},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def setup_of(path: Path, *overrides: str) -> RunSetup:
    return set_up(recipe=load_recipe(path, overrides), placement=Placement(torch.device("cpu")))


def told(setup: RunSetup) -> list[Any]:
    """Everything that a run takes from its data."""
    assert setup.validation is not None
    parts = [setup.train, setup.validation]
    features = [[{k: str(v) for k, v in f.items()} for f in part.features] for part in parts]
    assert all(features)
    counts = [part.counts.to_dict() for part in parts]
    return [features, counts, setup.train.labels, setup.loaded.model.config.id2label, setup.notes]


def kept(folder: Path) -> Iterator[Path]:
    """The files of the entries of rows."""
    yield from (p for p in sorted(folder.glob("*/**/*")) if p.is_file() and "starts" not in p.parts)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_of_all_files_at_once_is_mended(
    tiny_gpt2: Path, tmp_path: Path, folder: Path, task: dict[str, Any],
    damage: Callable[[Path], object],
) -> None:  # fmt: skip
    path = write_recipe(tmp_path, tiny_gpt2, task=task)
    good = told(setup_of(path))
    files = list(kept(folder))
    assert len(files) == 7  # facts; features, counts and checksums of two splits
    for file in files:
        damage(file)
    again = setup_of(path)
    assert not again.cached
    assert told(again) == good
    last = setup_of(path)
    # A folder in the place of a file of facts stays: who knows what is in it.
    assert last.cached or any(file.name == "facts.json" and file.is_dir() for file in files)
    assert told(last) == good


@pytest.mark.parametrize("number", range(7))
def test_one_flipped_bit_in_any_file_is_found(
    tiny_gpt2: Path, tmp_path: Path, folder: Path, number: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    path = write_recipe(tmp_path, tiny_gpt2, task=TASKS["classification"])
    good = told(setup_of(path))
    file = list(kept(folder))[number]
    DAMAGES["middle bit"](file)
    with caplog.at_level("INFO", logger="hfcli"):
        again = setup_of(path)
    assert told(again) == good
    assert not again.cached
    assert "made again" in caplog.text
    assert setup_of(path).cached


def _full_at_mkdir(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_text("not a folder")


def _nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFCLI_CACHE", "/proc/nothing/hfcli")


def _at_create(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def fail(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_CREAT and str(folder) in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", fail)


def _at_seal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cache.seal

    def fail(written: Path) -> None:
        if written.is_relative_to(folder):
            with files.environment_errors(written):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(written)

    monkeypatch.setattr(cache, "seal", fail)


def _at_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow

    real = pyarrow.ipc.new_stream

    def fail(place: str, schema: Any) -> Any:
        if str(folder) in place:
            raise OSError(f"[Errno {errno.ENOSPC}] Error writing bytes to file")
        return real(place, schema)

    monkeypatch.setattr(pyarrow.ipc, "new_stream", fail)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
@pytest.mark.parametrize("fault", [_full_at_mkdir, _nowhere, _at_create, _at_seal, _at_rows])
def test_a_cache_that_cannot_be_written_is_done_without(
    tiny_gpt2: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch,
    task: dict[str, Any], fault: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:  # fmt: skip
    path = write_recipe(tmp_path, tiny_gpt2, task=task)
    good = told(setup_of(path, "data.cache=false"))
    assert not folder.exists()
    fault(folder, monkeypatch)
    for _ in range(2):
        setup = setup_of(path)
        assert told(setup) == good
        assert not setup.cached
    monkeypatch.undo()
    assert list(folder.glob("*/.*")) == [], "nothing half written is left"


def test_the_same_bytes_under_another_suffix_are_read_as_that(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    table = 'text,label\n"one, two",calm\n' + "".join(f"row {i},storm\n" for i in range(12))
    table += "".join(f"row {i},calm\n" for i in range(12))
    path = write_recipe(tmp_path, tiny_gpt2, task=TASKS["classification"])
    found = {}
    for name in ("rows.csv", "rows.txt", "rows.tsv", "other.csv"):
        (tmp_path / name).write_text(table)
        for cached in ("false", "true", "true"):
            overrides = (f"data.train={name}", f"data.cache={cached}")
            try:
                setup = setup_of(path, *overrides)
                assert str(setup.train.features[0]["origin"]).startswith(str(tmp_path / name))
                found[name, cached] = str(told(setup))
            except HfcliError as e:
                found[name, cached] = str(e)
        assert found[name, "true"] == found[name, "false"]
    assert len({found[name, "true"] for name in ("rows.csv", "rows.txt", "rows.tsv")}) == 3


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gguf")
    build_gpt2(made, n_positions=1024)
    write_gguf(made, made / "model.gguf")
    return made / "model.gguf"


def written(name: Path) -> str:
    (result,) = generate(
        prompt="The harbour was",
        choice=ModelChoice(str(name), device="cpu"),
        settings=GenerationSettings(max_new_tokens=4, do_sample=False),
        options=TextOptions(),
        seed=0,
        listener=lambda _event: None,
    )
    return str(result.text)


def converted(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.glob("gguf-*/*")) if p.is_file()]


@pytest.mark.parametrize("name", ["missing", "truncated", "a list", "a folder", "unreadable"])
def test_a_damaged_conversion_is_made_again(gguf: Path, folder: Path, name: str) -> None:
    good = written(gguf)
    files = converted(folder)
    assert len(files) > 3
    for file in files:
        DAMAGES[name](file)
    assert written(gguf) == good
    (entry,) = folder.glob("gguf-*")
    assert cache.is_sound(entry)


def test_one_flipped_bit_in_any_file_of_a_conversion_is_found(gguf: Path, folder: Path) -> None:
    good = written(gguf)
    assert converted(folder)
    for file in converted(folder):
        DAMAGES["middle bit"](file)
        (entry,) = folder.glob("gguf-*")
        assert not cache.is_sound(entry), file.name
        assert written(gguf) == good
        assert cache.is_sound(entry)


@pytest.mark.parametrize("fault", [_full_at_mkdir, _nowhere, _at_create, _at_seal])
def test_a_conversion_that_cannot_be_kept_is_used_all_the_same(
    gguf: Path, folder: Path, monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:  # fmt: skip
    good = written(gguf)
    assert len(converted(folder)) > 3
    shutil.rmtree(folder)
    fault(folder, monkeypatch)
    assert written(gguf) == good
    monkeypatch.undo()
    assert not list(folder.glob("gguf-*"))
