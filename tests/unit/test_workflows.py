"""The workflows name what is there: the Pythons of the classifiers, targets of the Makefile."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.helpers import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SYSTEMS = {"ubuntu-latest", "macos-latest", "windows-latest"}


def workflow(name: str) -> dict[str, Any]:
    """The jobs of a workflow."""
    path = ROOT / ".github" / "workflows" / name
    jobs: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return jobs


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_matrix_is_every_system_python_and_set() -> None:
    pythons = script("resolve").pythons()
    assert pythons == ["3.11", "3.12", "3.13", "3.14"]
    jobs = workflow("tests.yml")
    for name in ("unit", "all"):
        matrix = jobs[name]["strategy"]["matrix"]
        assert matrix["python"] == pythons
        assert set(matrix["os"]) == SYSTEMS
    assert jobs["all"]["strategy"]["matrix"]["set"] == ["test-oldest", "test", "test-newest"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_of_a_workflow_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = set(re.findall(r"run: make ([\w-]+)", text))
    matrix = workflow(path.name).get("all", {}).get("strategy", {}).get("matrix", {})
    targets |= set(matrix.get("set", []))
    rules = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert targets
    assert targets <= set(rules)
    assert all((ROOT / name).is_file() for name in re.findall(r"\.ci/\w+\.py", text))


def test_only_the_job_that_publishes_may_ask_for_a_token() -> None:
    text = (ROOT / ".github" / "workflows" / "publish.yml").read_text(encoding="utf-8")
    jobs = workflow("publish.yml")
    assert [name for name in jobs if "id-token" in jobs[name].get("permissions", {})] == ["publish"]
    assert jobs["publish"]["needs"] == "build"
    assert "secrets." not in text


def test_a_release_names_its_repository() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    told = tomllib.loads(text + script("name_repository").urls("https://example.org/hfcli"))
    assert told["project"]["urls"]["Homepage"] == "https://example.org/hfcli"
    assert told["project"]["name"] == "hfcli"


def test_unit_tests_install_nothing_that_brings_torch() -> None:
    names = [re.split(r"[<>=\[]", line)[0] for line in script("unit_requirements").requirements()]
    assert {"pytest", "hypothesis", "pyarrow", "llguidance"} <= set(names)
    assert not {"torch", "accelerate", "peft", "bitsandbytes", "lm-eval"} & set(names)


@pytest.mark.parametrize(
    ("answer", "gpu", "note"),
    [("2.13.0+cpu", False, False), ("2.13.0", False, True), ("2.13.0", True, False)],
)
def test_a_note_comes_before_cuda_is_downloaded_without_a_gpu(
    answer: str, gpu: bool, note: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("torch_note")
    report = f'{{"install": [{{"metadata": {{"version": "{answer}"}}}}]}}'
    done = type("Done", (), {"returncode": 0, "stdout": report})()
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(module, "_has_gpu", lambda: gpu)
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: done)
    assert module.cuda_would_come([]) == note
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in module.NOTE
