"""`hfcli env`: it answers on every machine, tells nothing private, and its check is a real one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT, hfcli

TOKEN = "hf_" + "aB3dE6gH9" * 4
ABSENT = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
BROKEN = {
    "absent": (ABSENT, "pip install torch"),
    "damaged": ("raise OSError('libtorch_cpu.so: cannot open')", "OSError: libtorch_cpu.so"),
}
if os.name == "posix":  # elsewhere a crash is an exit code like any other
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    BROKEN["crashing"] = (kill, "ended by SIGKILL")


def with_torch(code: str, folder: Path) -> dict[str, str]:
    """The environment of a process whose torch is this code."""
    (folder / "modules" / "torch").mkdir(parents=True)
    (folder / "modules" / "torch" / "__init__.py").write_text(code, encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join([str(folder / "modules"), str(ROOT)])}


def test_nothing_private_is_told(tmp_path: Path) -> None:
    home = tmp_path / "homes" / "zoe-k"
    home.mkdir(parents=True)
    private = {
        "HOME": str(home), "USERPROFILE": str(home),
        **dict.fromkeys(("USER", "LOGNAME", "LNAME", "USERNAME"), "zoe-k"),
        "HF_TOKEN": TOKEN, "HF_HOME": str(home / "hf"), "HFCLI_CACHE": str(home / "own cache"),
        "HF_ENDPOINT": "https://zoe-k:geheim@hub.example", "HFCLI_GENERATE_OUTPUT": "/d/zoe-k/x",
        "HFCLI_API_KEY": "geheim", "HFCLI_FINETUNE_PUSH_TO_HUB": TOKEN,
    }  # fmt: skip
    done = hfcli("env", "--json", env=private)
    assert done.returncode == 0, done.stderr
    for text in (str(home), "zoe-k", TOKEN, "geheim"):
        assert text not in done.stdout
    told: dict[str, Any] = json.loads(done.stdout)
    paths = {folder["name"]: folder for folder in told["folders"]}
    assert paths["models"]["path"] == os.path.join("~", "hf", "hub")
    assert (paths["hfcli"]["path"], paths["hfcli"]["variable"]) == (
        os.path.join("~", "own cache"), "HFCLI_CACHE",
    )  # fmt: skip
    assert all(folder["free"] > 0 for folder in told["folders"])
    assert told["network"]["token"] == "HF_TOKEN"
    assert told["network"]["offline"] is True
    values = {one["name"]: (one["value"], one["sets"]) for one in told["variables"]}
    assert values["HFCLI_GENERATE_OUTPUT"] == ("/d/<user>/x", "generate --output")
    assert values["HFCLI_API_KEY"] == ("***", None)
    assert told["torch_error"] is None
    assert told["devices"][0]["name"] == "cpu"
    assert all(isinstance(one["on"], bool) and one["why"] for one in told["speed_ups"])


@pytest.mark.parametrize(("code", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_torch_that_cannot_be_used_is_told(code: str, reason: str, tmp_path: Path) -> None:
    done = hfcli("env", env=with_torch(code, tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    lines = " ".join(done.stdout.split())
    assert "torch cannot be used: " in lines
    assert reason in lines


def test_a_check_that_fails_exits_with_5_and_leaves_nothing(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code, reason = BROKEN["damaged"]
    done = hfcli("env", "--check", env={**with_torch(code, tmp_path), "TMPDIR": str(scratch)})
    assert done.returncode == 5
    assert done.stderr.startswith("error: the check failed: hfcli finetune: ")
    assert reason.removeprefix("OSError: ") in done.stderr
    assert "\n  failed " in done.stdout
    assert list(scratch.iterdir()) == []


def test_the_check_trains_and_writes(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    flags = {"HFCLI_GENERATE_DTYPE": "int3", "TMPDIR": str(scratch)}  # no flag reaches the check
    done = hfcli("env", "--check", "--json", env=flags)
    assert done.returncode == 0, done.stderr
    check = json.loads(done.stdout)["check"]
    assert check["error"] is None
    assert check["text"].startswith("The harbour was")
    assert list(scratch.iterdir()) == []
