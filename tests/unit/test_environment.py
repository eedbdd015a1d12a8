"""What `hfcli env` gathers and shows: ranges, limits, what is private, and the width of lines."""

from __future__ import annotations

import platform
import re
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hfcli.environment import folders, machine, packages
from hfcli.environment.privacy import Privacy
from hfcli.environment.speedups import described_speed_ups
from hfcli.fast import SPEED_UPS
from hfcli.render import environment as render
from hfcli.results import (
    CheckResult,
    DeviceInfo,
    EnvironmentResult,
    Memory,
    Network,
    SetVariable,
)
from tests.helpers import ROOT

GIB = 2**30


@pytest.mark.parametrize(
    ("line", "tested", "status"),
    [
        ("pytest>=1", ">=1", "tested"),
        ("pytest<2,>=1", ">=1,<2", "outside"),
        ("pytest", "", "tested"),
        ("hfcli-has-no-such-package>=2,<3,!=2.5", "!=2.5,>=2,<3", "missing"),
    ],
)
def test_a_version_stands_beside_its_range(line: str, tested: str, status: str) -> None:
    (found,) = packages.described_packages([Requirement(line)])
    assert (found.tested, found.status) == (tested, status)
    assert (found.installed is None) == (status == "missing")


def test_every_requirement_of_hfcli_is_described_once() -> None:
    requirements = packages.own_requirements()
    needed = packages.described_packages(requirements)
    extras = packages.described_extras(requirements)
    assert {"torch", "transformers"} <= {one.name for one in needed}
    assert {one.name for one in extras} >= {"structured", "llama-cpp", "vllm"}
    assert not {one.name for one in extras} & {"test", "dev"}
    for extra in extras:
        assert extra.install == f"pip install 'hfcli[{extra.name}]'"
        assert extra.present == all(one.installed is not None for one in extra.packages)
    own = {one.name for one in requirements if one.marker is None}
    assert own <= {one.name for one in needed}


def test_pinned_versions_are_those_of_the_constraints() -> None:
    pinned = packages._pinned_versions()
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert {f"torch=={pinned['torch']}", f"transformers=={pinned['transformers']}"} <= set(lines)


def test_without_metadata_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", absent)
    monkeypatch.setattr(metadata, "metadata", absent)
    assert packages.own_requirements() == []
    assert packages.described_extras([]) == []
    assert packages.tested_python() == ""


def test_the_limits_of_all_groups_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "pod" / "container"
    inner.mkdir(parents=True)
    (tmp_path / "own").write_text("0::/pod/container\n", encoding="utf-8")
    (inner / "memory.max").write_text("max\n", encoding="utf-8")
    (inner.parent / "memory.max").write_text(f"{3 * GIB}\n", encoding="utf-8")
    (inner / "cpu.max").write_text("50000 100000\n", encoding="utf-8")
    (inner.parent / "cpu.max").write_text("max 100000\n", encoding="utf-8")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "OWN_GROUP", tmp_path / "own")
    assert machine.memory_limit() == 3 * GIB
    assert machine.usable_cores() == 0.5
    monkeypatch.setattr(machine, "OWN_GROUP", tmp_path / "absent")
    assert machine.memory_limit() is None


def test_features_are_those_that_decide_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    told = {"features": ["avx2", "avx512_f", "sse"], "bfloat16": False, "threads": 3}
    found = machine.describe_processor(told)
    assert found.features == {
        "avx2": True, "avx512f": True, "avx512_bf16": False, "amx_bf16": False,
    }  # fmt: skip
    assert (found.bfloat16, found.threads) == (False, 3)
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert machine.describe_processor({"features": ["bf16"]}).features["bf16"] is True


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"HF_HOME": "/a"}, "/a/hub"),
        ({"HF_HOME": "/a", "HF_HUB_CACHE": "/b"}, "/b"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
    ],
)
def test_the_folder_of_models_is_the_hub_librarys(
    variables: dict[str, str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in folders.HUB_CACHE:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert folders.hub_cache() == Path(path)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("/home/ada/x", "~/x"),
        ("OSError: '/home/ada/lib.so'", "OSError: '~/lib.so'"),
        ("/home/ada", "~"),
        ("/home/adam/x", "/home/adam/x"),
        ("/scratch/ada/x", "/scratch/<user>/x"),
        ("/tmp/run_ada-1", "/tmp/run_<user>-1"),
        ("ada", "ada"),
        ("https://x?t=s3cret1", "https://x?t=***"),
        ("hf_0123456789abcdefXYZ", "***"),
    ],
)
def test_what_is_private_is_taken_out(text: str, hidden: str) -> None:
    assert Privacy(("/home/ada",), "ada", ("s3cret1",)).text(text) == hidden


def test_names_of_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "WANDB_API_KEY", "MY_SECRET", "DB_PASSWORD"):
        monkeypatch.setenv(name, f"value-of-{name}")
    for name in ("TOKENIZERS_PARALLELISM", "HF_TOKEN_PATH", "AWS_SECRET_FILE"):
        monkeypatch.setenv(name, f"value-of-{name}")
    known = Privacy.of_user().secrets
    assert {"value-of-HF_TOKEN", "value-of-WANDB_API_KEY", "value-of-MY_SECRET"} <= set(known)
    assert not {one for one in known if "PATH" in one or "FILE" in one or "TOKENIZERS" in one}


def described(error: str | None = None) -> EnvironmentResult:
    """Something of everything; packages and extras as they are here."""
    requirements = packages.own_requirements()
    facts = {"features": ["avx2"], "bfloat16": True, "threads": 1}
    return EnvironmentResult(
        hfcli="1.0",
        python="3.11.7",
        python_tested=">=3.11",
        executable="~/a folder with spaces/" * 5,
        system="Linux",
        packages=packages.described_packages(requirements),
        extras=packages.described_extras(requirements),
        processor=machine.describe_processor(facts),
        memory=Memory(8 * GIB, 2 * GIB, 4 * GIB),
        devices=[DeviceInfo("cpu", "", None, None), DeviceInfo("cuda", "A GPU", GIB, GIB)],
        torch_error=error,
        folders=folders.cache_folders(),
        network=Network(True, {"HF_HUB_OFFLINE": "1"}, None),
        speed_ups=described_speed_ups(None),
        variables=[SetVariable("HFCLI_EVAL_DATA", "a b\nc " * 30, "eval --data")],
        check=CheckResult(3.0, "a text", None),
    )


def test_lines_are_at_most_80_columns_wide(capsys: pytest.CaptureFixture[str]) -> None:
    render.show_environment(described())
    out = capsys.readouterr().out
    for line in out.splitlines():
        assert len(line) <= 80 or len(re.findall(r"\S+", line)) <= 2, line
    for text in ("limit of the container 4.0 GiB", "cuda: A GPU", "--without NAME", "passed"):
        assert text in out


def test_every_speed_up_is_shown_without_torch_too(capsys: pytest.CaptureFixture[str]) -> None:
    failed = CheckResult(1.0, None, "hfcli finetune: no torch")
    render.show_environment(replace(described("OSError: gone"), check=failed))
    out = capsys.readouterr().out
    assert {one.name for one in SPEED_UPS} <= {line.split()[0] for line in out.splitlines() if line}
    assert "cannot be used: OSError: gone" in out
    assert "failed" in out
