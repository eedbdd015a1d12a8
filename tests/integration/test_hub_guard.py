"""No Hub hangs a command: whatever it answers, there is a model or one line, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfcli.data.hub import load_hub_split
from hfcli.errors import DataError, HfcliError, ModelError, RecipeError, RunError
from hfcli.models.publish import push_folder
from hfcli.models.resolve import resolve_model
from hfcli.transfers import DEFAULT_SECONDS, StalledError, hub_seconds, network_errors
from tests.fake_uploads import Uploads
from tests.fuzz.broken_hub import FAULTS, broken_hub
from tests.fuzz.hub import endpoint_of_libraries

SECONDS = 0.4
NEVER_ENDING = {"hang", "drip", "drip_headers", "hang_in_body"}


@pytest.fixture(autouse=True)
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    monkeypatch.setenv("HFCLI_HUB_TIMEOUT", str(SECONDS))
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setattr("hfcli.hub._found", {})
    yield
    set_client_factory(_http.default_client_factory)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_hub_is_told_in_a_line_and_in_time(
    fault: str, tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = "api" if fault == "parent_path" else "file"
    name = f"someone/{fault}"
    with broken_hub(fault, where, {f"models/{name}": tiny_gpt2}) as hub, endpoint_of_libraries(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub)
        start = time.monotonic()
        error = error_of(name)
        seconds = time.monotonic() - start
    assert seconds < 8  # retries of the library included
    assert not (tiny_gpt2.parent / "outside.json").exists()
    if error is not None:
        assert isinstance(error, ModelError)
        assert error.message.isprintable()
    if fault in NEVER_ENDING:
        words = ("for 0.4 seconds", "timed out", "disconnected")  # the last of httpx
        assert any(word in str(error) for word in words), error


def error_of(name: str) -> HfcliError | None:
    try:
        resolve_model(name)
    except HfcliError as e:
        return e
    return None


def test_a_sound_hub_is_read_with_the_same_client(
    tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "someone/sound"
    with broken_hub("hang", "none", {f"models/{name}": tiny_gpt2}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub)
        with endpoint_of_libraries(hub):
            source = resolve_model(name)
    assert (source.folder / "config.json").read_bytes() == (tiny_gpt2 / "config.json").read_bytes()


@pytest.mark.parametrize("fault", ["hang", "drip", "drip_headers", "http_429_for_hours"])
def test_data_sets_and_uploads_have_the_deadline_too(
    fault: str, tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("text,label\na,b\n")
    name = f"someone/{fault}"
    uploads = Uploads(tmp_path / "pushed")
    repos = {f"datasets/{name}": tmp_path / "data"}
    with broken_hub(fault, "all", repos, uploads) as hub, endpoint_of_libraries(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub)
        start = time.monotonic()
        with pytest.raises(DataError, match=name):
            load_hub_split(path=name, name=None, revision=None, split="train", offline=False)
        with pytest.raises(RunError, match="someone/x"):
            push_folder(folder=tiny_gpt2, repo_id="someone/x", token=uploads.token)
    assert time.monotonic() - start < 12
    assert uploads.commits == []


def test_the_deadline_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFCLI_HUB_TIMEOUT", "2.5")
    assert hub_seconds() == 2.5
    monkeypatch.delenv("HFCLI_HUB_TIMEOUT")
    assert hub_seconds() == DEFAULT_SECONDS
    for wrong in ("x", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("HFCLI_HUB_TIMEOUT", wrong)
        with pytest.raises(RecipeError, match="HFCLI_HUB_TIMEOUT"):
            hub_seconds()


def test_a_stalled_transfer_is_found_behind_what_a_library_makes_of_it() -> None:
    error = ValueError("no such data set")
    error.__context__ = StalledError("it stalled")
    with pytest.raises(DataError, match=r"x \(it stalled\)") as e, network_errors(DataError, "x"):
        raise error
    assert "HFCLI_HUB_TIMEOUT=SECONDS" in str(e.value.hint)
