"""report_to: what is not installed is said at once, and what is asks no questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hfcli.errors import RecipeError
from hfcli.recipe import trackers
from hfcli.recipe.trackers import TRACKERS, check_report_to, tracker_environment, tracker_names


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of a tracker, and a home without a netrc file."""
    for name in TRACKERS:
        for variable in tracker_environment(tmp_path, [name]):
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)


def installed(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: name if name in modules else None)


@pytest.mark.parametrize("value", [None, "none", ["none"], []])
def test_none_is_nobody(value: Any) -> None:
    assert tracker_names(value) == []


def test_one_name_or_several() -> None:
    assert tracker_names("wandb") == ["wandb"]
    assert tracker_names(["wandb", "mlflow"]) == ["wandb", "mlflow"]
    with pytest.raises(RecipeError, match=r"found 3"):
        tracker_names(3)


def test_what_is_installed_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "tensorboardX", "wandb", "trackio", "mlflow")
    check_report_to(list(TRACKERS))


def test_what_is_missing_is_named_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "wandb")
    with pytest.raises(RecipeError) as caught:
        check_report_to(["tensorboard", "wandb", "trackoi", "mlflow"])
    assert caught.value.message.splitlines() == [
        "report_to: tensorboard is not installed",
        "report_to: unknown tracker 'trackoi', did you mean trackio?",
        "report_to: mlflow is not installed",
    ]
    assert caught.value.hint == "pip install tensorboard mlflow"


def test_every_tracker_writes_into_the_folder(tmp_path: Path) -> None:
    for name in TRACKERS:
        environment = tracker_environment(tmp_path / "run", [name])
        assert any(str(tmp_path / "run") in value for value in environment.values()), name


def test_what_the_user_has_set_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    assert "MLFLOW_TRACKING_URI" not in tracker_environment(tmp_path, ["mlflow"])
    monkeypatch.setenv("WANDB_MODE", "online")
    assert "WANDB_MODE" not in tracker_environment(tmp_path, ["wandb"])


def test_wandb_stays_offline_unless_there_is_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mode() -> str | None:
        return tracker_environment(tmp_path, ["wandb"]).get("WANDB_MODE")

    assert mode() == "offline"
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password key\n")
    netrc.chmod(0o600)
    assert mode() is None
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example")
    assert mode() == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "key")
    assert mode() is None
