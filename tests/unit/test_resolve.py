"""A model's name becomes local files at once, or an error that says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfcli.errors import ModelError
from hfcli.models.resolve import BUNDLED_FOLDER, DEFAULT_MODEL, resolve_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hand-made Hub cache that huggingface_hub looks into."""
    folder = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.delenv("HFCLI_MODEL", raising=False)
    return folder


def snapshot(cache: Path, name: str, *files: str) -> Path:
    repo = cache / f"models--{name.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    folder = repo / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_text("{}")
    return folder


def test_bundled_is_the_folder_in_the_package() -> None:
    source = resolve_model("bundled")
    assert source.folder == BUNDLED_FOLDER
    assert (source.folder / "model.safetensors").is_file()


def test_a_cached_hub_model_is_its_snapshot(cache: Path) -> None:
    folder = snapshot(cache, "some/model", "config.json", "model.safetensors")
    source = resolve_model("some/model")
    assert source.folder == folder
    assert source.revision == COMMIT


def test_a_cut_off_download_does_not_count_as_cached(cache: Path) -> None:
    snapshot(cache, "some/model", "config.json")
    with pytest.raises(ModelError, match="not in the local cache, and the network is switched off"):
        resolve_model("some/model")


def test_files_that_hfcli_never_fetches_do_not_make_a_snapshot_incomplete(cache: Path) -> None:
    folder = snapshot(cache, "some/model", "config.json", "model.safetensors")
    listed = ["config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5"]
    tree = folder.parent.parent / "trees" / f"{COMMIT}.json"
    tree.parent.mkdir()
    files = {name: {"size": 2, "blob_id": "x"} for name in listed}
    tree.write_text(json.dumps({"format_version": 1, "files": files}))
    assert resolve_model("some/model").folder == folder


def test_a_missing_shard_does_not_count_as_cached(cache: Path) -> None:
    folder = snapshot(cache, "some/model", "config.json", "a.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}')
    with pytest.raises(ModelError):
        resolve_model("some/model")
    (folder / "b.safetensors").touch()
    assert resolve_model("some/model").folder == folder


def test_only_the_default_falls_back(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = resolve_model(None)
    assert source.folder == BUNDLED_FOLDER
    assert source.note is not None
    assert "HFCLI_MODEL" in source.note
    with pytest.raises(ModelError):
        resolve_model(DEFAULT_MODEL)
    monkeypatch.setenv("HFCLI_MODEL", "some/model")
    with pytest.raises(ModelError, match="some/model"):
        resolve_model(None)


def test_a_revision_of_the_default_is_a_choice(cache: Path) -> None:
    with pytest.raises(ModelError, match=DEFAULT_MODEL):
        resolve_model(None, revision=COMMIT)
    folder = snapshot(cache, DEFAULT_MODEL, "config.json", "model.safetensors")
    assert resolve_model(None, revision=COMMIT).folder == folder


def test_the_default_is_taken_from_the_cache(cache: Path) -> None:
    folder = snapshot(cache, DEFAULT_MODEL, "config.json", "model.safetensors")
    assert resolve_model(None).folder == folder


def test_a_folder_without_a_model_points_at_one_inside(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoint-3").mkdir(parents=True)
    (tmp_path / "run" / "checkpoint-3" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="holds no model") as caught:
        resolve_model(str(tmp_path / "run"))
    assert caught.value.hint == f"did you mean {tmp_path / 'run' / 'checkpoint-3'}?"


def test_a_file_that_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError, match="not a GGUF file"):
        resolve_model(str(tmp_path / "model.gguf"))


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/path", "a/b/c", "missing.gguf", "~/nope"])
def test_a_path_is_not_taken_for_a_hub_id(name: str) -> None:
    with pytest.raises(ModelError, match="no such file or folder"):
        resolve_model(name)


def test_an_adapter_folder_names_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')
    assert resolve_model(str(tmp_path)).adapter_base() == "some/base"
    assert resolve_model("bundled").adapter_base() is None
