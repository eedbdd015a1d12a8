"""Every file that a command leaves for others to read has the mode that the umask gives."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfcli.cli.app import app
from tests.integration.test_training import write_recipe


@pytest.fixture(params=[0o022, 0o027], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def hfcli(*arguments: str | Path) -> None:
    app([str(a) for a in arguments], standalone_mode=False)


def test_files_have_the_mode_of_the_umask(
    tiny_gpt2: Path, tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("HFCLI_CACHE", str(home / "cache"))
    recipe = write_recipe(
        tmp_path, tiny_gpt2, task={"name": "text-classification"}, model={"lora": {"r": 2}},
        training={"max_steps": 2, "save_steps": 1, "warmup_steps": 0},
    )  # fmt: skip
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"prompt": "The harbour"}) + "\n")
    hfcli("finetune", recipe, "-o", "run")
    hfcli("eval", "run", "-o", "scores")
    hfcli("export", "merge", "run", "-o", "merged")
    for suffix in ("jsonl", "csv", "parquet"):
        more = ("--max-new-tokens", "2", "-o", f"texts.{suffix}")
        hfcli("generate", "-m", tiny_gpt2, "-i", prompts, *more)
    hfcli("recipes", "init", "--data", tmp_path / "rows.jsonl", "-o", "made.yaml")
    hfcli("recipes", "show", "bundled-pretrain")
    found = {p.relative_to(home).as_posix(): p.stat().st_mode & 0o777 for p in home.rglob("*")}
    files = {name: mode for name, mode in found.items() if (home / name).is_file()}
    for suffix in (".json", ".jsonl", ".safetensors", ".csv", ".parquet", ".html", ".md", ".pt"):
        assert any(name.endswith(suffix) for name in files), suffix
    assert {n: oct(m) for n, m in files.items() if m != 0o666 & ~umask} == {}
    assert {n: oct(found[n]) for n in found.keys() - files if found[n] != 0o777 & ~umask} == {}
