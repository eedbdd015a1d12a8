"""The cache's folder: only hfcli's own old entries are removed, and damage is found."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hfcli import cache
from tests.damage import DAMAGES

HEX = "0123456789abcdef" * 4
LONG_AGO = (10**9, 10**9)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("HFCLI_CACHE", str(folder))
    return folder


def entry(folder: Path, name: str = HEX) -> Path:
    """An entry as hfcli writes one."""
    made = folder / name
    cache.write_json(made / "facts.json", {"a": 1})
    inner = made / ("f" * 64)
    inner.mkdir()
    (inner / "features.arrow").write_bytes(os.urandom(5000))
    (inner / "counts.json").write_text("{}")
    cache.seal(inner)
    return made


def grow_old(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, LONG_AGO, follow_symlinks=False)


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}


def fill_with_own_things(folder: Path) -> None:
    """What a user may have in a folder that HFCLI_CACHE names."""
    for name in (
        "thesis", "starts-of-mine", "gguf-models", f"{HEX}.bak", HEX[:40], HEX.upper(), "GGUF",
        ".writing-notes", "b" * 64, "gguf-" + "0" * 32, ".a.hfcli-1", "starts/mine",
    ):  # fmt: skip
        (folder / name).mkdir(parents=True)
        (folder / name / "chapter.tex").write_text("years of work")
    (folder / "model.gguf").write_text("x")
    (folder / ("c" * 64)).write_text("a file: a blob of another cache")
    (folder / "starts/notes.json").write_text("{}")


@pytest.mark.parametrize("tagged", [False, True])
def test_what_a_user_has_there_is_never_removed(folder: Path, tagged: bool) -> None:
    folder.mkdir()
    if tagged:  # such as a folder that was hfcli's before
        cache.open_cache()
    fill_with_own_things(folder)
    before = names(folder)
    cache.open_cache()
    entry(folder)
    cache.remember("starts", "a", 1)
    grow_old(folder)
    cache.forget_unused(folder)
    assert before <= names(folder)
    assert (folder / HEX).exists() is not tagged
    assert (folder / cache.TAG_FILE).exists() is tagged


def test_an_entry_that_holds_something_foreign_stays_whole(folder: Path) -> None:
    cache.open_cache()
    made = entry(folder)
    (made / ("f" * 64) / "notes.txt").write_text("mine")
    before = names(folder)
    grow_old(folder)
    cache.forget_unused(folder)
    assert names(folder) == before


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    cache.open_cache()
    made = entry(tmp_path / "elsewhere")
    (folder / HEX).symlink_to(made)
    grow_old(folder)
    grow_old(made)
    cache.forget_unused(folder)
    assert (made / "facts.json").exists()


@pytest.mark.parametrize("foreign", [False, True])
def test_a_cache_of_before_is_tagged_where_all_of_it_is_of_our_form(
    folder: Path, foreign: bool
) -> None:
    entry(folder)
    (folder / "starts").mkdir()
    (folder / "starts" / f"{HEX[:32]}.json").write_text("1")
    if foreign:
        (folder / "thesis").mkdir()
    cache.open_cache()
    assert (folder / cache.TAG_FILE).exists() is not foreign


def test_a_tag_of_someone_else_is_none_of_ours(folder: Path) -> None:
    entry(folder)
    (folder / cache.TAG_FILE).write_text(cache.TAG.splitlines()[0])
    grow_old(folder)
    before = names(folder)
    cache.open_cache()
    cache.forget_unused(folder)
    assert names(folder) == before


def test_old_entries_are_removed_and_used_ones_stay(folder: Path) -> None:
    cache.open_cache()
    entry(folder)
    entry(folder, "a" * 64)
    gguf = folder / f"gguf-{'0' * 32}"
    for name in ("config.json", "model-00001-of-00002.safetensors", "tokenizer.json"):
        gguf.mkdir(exist_ok=True)
        (gguf / name).write_text("x")
    for name in ("a", "b"):
        cache.remember("starts", name, 1)
    (folder / ".writing-abc_1234").mkdir()
    grow_old(folder)
    assert cache.is_sound(folder / ("a" * 64) / ("f" * 64))
    cache.touch(folder / ("a" * 64))
    assert cache.remembered("starts", "a") == 1
    cache.forget_unused(folder)
    assert {p.name for p in folder.iterdir()} == {"a" * 64, "starts", cache.TAG_FILE}
    assert cache.remembered("starts", "a") == 1
    assert cache.remembered("starts", "b") is None


def test_two_may_clean_at_once(folder: Path) -> None:
    cache.open_cache()
    for number in range(60):
        entry(folder, f"{number:064x}")
    grow_old(folder)
    failed: list[BaseException] = []

    def clean() -> None:
        try:
            cache.forget_unused(folder)
        except OSError as e:
            failed.append(e)

    threads = [threading.Thread(target=clean) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [p.name for p in folder.iterdir()] == [cache.TAG_FILE]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_to_any_file_of_an_entry_is_found(
    folder: Path, damage: Callable[[Path], object]
) -> None:
    made = entry(folder) / ("f" * 64)
    files = sorted(p.name for p in made.iterdir())
    assert len(files) == 3
    for name in files:
        assert cache.is_sound(made)
        damage(made / name)
        assert not cache.is_sound(made), name
        replacement = entry(folder.parent / "again", HEX) / ("f" * 64)
        cache.put_in_place(replacement, made)
        shutil.rmtree(folder.parent / "again")
    assert cache.is_sound(made)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_memory_is_none_and_can_be_written_again(
    folder: Path, damage: Callable[[Path], object]
) -> None:
    cache.remember("starts", "a", {"x": [1.5, None, "ä\ud800"]})
    assert cache.remembered("starts", "a") == {"x": [1.5, None, "ä\ud800"]}
    (path,) = (folder / "starts").iterdir()
    damage(path)
    assert cache.remembered("starts", "a") is None
    cache.remember("starts", "a", 2)
    assert cache.remembered("starts", "a") == (None if path.is_dir() else 2)


@pytest.mark.parametrize("place", ["/proc/hfcli", "/dev/null", "/dev/null/x", "x" * 300, "\n"])
def test_no_place_for_a_cache_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HFCLI_CACHE", place)
    cache.remember("starts", "a", 1)
    assert cache.remembered("starts", "a") in (None, 1)
    cache.forget_unused(cache.cache_folder())


def test_without_a_home_the_cache_is_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFCLI_CACHE", "~nobody-has-this-name/cache")
    cache.remember("starts", "a", 1)
    assert cache.remembered("starts", "a") == 1
