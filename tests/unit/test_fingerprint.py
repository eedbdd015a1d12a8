"""A model's fingerprint changes with what transformers reads of its folder, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfcli.models.fingerprint import weights_fingerprint
from hfcli.models.resolve import ModelSource

READ = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "pytorch_model.bin",
    "model-00001-of-00002.safetensors",
    "model.safetensors.index.json",
    "spiece.model",
    "pytorch_model-00001-of-00002.bin",
    "adapter_config.json",
    "adapter_model.safetensors",
]
BESIDE = ["notes.txt", "result.json", "run.json", "all_results.json", "eval.json", "script.py",
          "training_args.bin", "optimizer.bin", "README.md", "predictions.jsonl", "report.json",
          "trainer_state.json", "requirements.txt"]  # fmt: skip


def fingerprint(folder: Path) -> str:
    return weights_fingerprint(ModelSource("model", folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


@pytest.mark.parametrize("name", READ)
def test_what_is_read_counts(name: str, folder: Path) -> None:
    before = fingerprint(folder)
    (folder / name).write_text("another")
    assert fingerprint(folder) != before


@pytest.mark.parametrize("name", BESIDE)
def test_what_lies_beside_the_model_does_not(name: str, folder: Path) -> None:
    before = fingerprint(folder)
    (folder / name).write_text("another")
    assert fingerprint(folder) == before


def test_code_counts_where_a_configuration_names_it(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "modeling.Model"}}))
    before = fingerprint(folder)
    (folder / "modeling.py").write_text("class Model: ...")
    assert fingerprint(folder) != before
