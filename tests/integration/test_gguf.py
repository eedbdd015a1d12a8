"""A GGUF file is read like the folder it was made from."""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gguf_file import write_gguf
from hfcli.generation.loading import ModelChoice
from hfcli.generation.run import TextOptions, generate
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import GenerateResult
from tests.conftest import build_gpt2
from tests.helpers import hfcli


def greedy(name: Path, capfd: pytest.CaptureFixture[str], **options: Any) -> GenerateResult:
    (result,) = generate(
        prompt="The harbour was",
        choice=ModelChoice(str(name), device="cpu", **options),
        settings=GenerationSettings(max_new_tokens=12, do_sample=False),
        options=TextOptions(),
        seed=0,
        listener=lambda event: None,
    )
    assert capfd.readouterr() == ("", ""), "reading a model says nothing"
    return result


def test_gguf_file_writes_what_its_folder_writes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    # 1024 positions, because transformers reads no other number from a GPT-2 GGUF file.
    build_gpt2(folder, n_positions=1024)
    capfd.readouterr()
    write_gguf(folder, tmp_path / "model.gguf")
    capfd.readouterr()
    from_file = greedy(tmp_path / "model.gguf", capfd)
    from_folder = greedy(folder, capfd)
    assert from_file.text == from_folder.text
    assert from_file.n_prompt_tokens == from_folder.n_prompt_tokens
    assert len(from_file.text) > 3


def test_the_second_start_loads_what_the_first_converted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("HFCLI_CACHE", str(cache))
    build_gpt2(tmp_path, n_positions=1024)
    file = tmp_path / "model.gguf"
    write_gguf(tmp_path, file)
    capfd.readouterr()
    first = greedy(file, capfd)
    (kept,) = cache.glob("gguf-*")
    assert (kept / "model.safetensors").is_file()
    reader = import_module("transformers.modeling_gguf_pytorch_utils")
    with monkeypatch.context() as patched:
        patched.setattr(reader, "load_gguf_checkpoint", None)
        second = greedy(file, capfd)
    told = second.to_dict()
    for name in ("seconds", "tokens_per_second"):
        told[name] = first.to_dict()[name]
    assert told == first.to_dict(), "the model's name included"
    # Content decides, not name, size or time.
    data, times = bytearray(file.read_bytes()), file.stat()
    data[-2] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    greedy(file, capfd)
    assert len(list(cache.glob("gguf-*"))) == 2


def test_no_conversion_is_kept_where_none_is_wanted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path / "cache"))
    build_gpt2(tmp_path, n_positions=1024)
    write_gguf(tmp_path, tmp_path / "model.gguf")
    capfd.readouterr()
    greedy(tmp_path / "model.gguf", capfd, without=frozenset({"gguf-cache"}))
    assert not list((tmp_path / "cache").glob("gguf-*"))


@pytest.mark.parametrize("lora", [{}, {"lora": {"r": 2}}])
def test_a_gguf_file_is_tuned_like_its_folder(tmp_path: Path, lora: dict[str, Any]) -> None:
    """Trainer takes an unpacked model for a quantized one, unless it is told."""
    folder = tmp_path / "folder"
    folder.mkdir()
    build_gpt2(folder, n_positions=1024)
    write_gguf(folder, tmp_path / "model.gguf")
    text = tmp_path / "text.txt"
    text.write_text("The lamp was lit and the boats lay still in the harbour.\n" * 20)

    def losses(name: Path, output: str) -> list[float]:
        recipe = {
            "task": {"name": "text-generation", "block_size": 32},
            "model": {"name_or_path": str(name), **lora},
            "data": {"train": str(text), "validation": str(text)},
            "training": {"max_steps": 3, "logging_steps": 1, "bf16": False},
            "output_dir": str(tmp_path / output),
        }
        path = tmp_path / f"{output}.yaml"
        path.write_text(json.dumps(recipe))
        done = hfcli("finetune", str(path), "--offline")
        assert done.returncode == 0, done.stderr
        log = (tmp_path / output / "metrics.jsonl").read_text().splitlines()
        return [row["loss"] for row in map(json.loads, log) if "loss" in row]

    from_file = losses(tmp_path / "model.gguf", "from-file")
    assert len(from_file) == 3
    # The file holds the head as weights of their own, which full training moves by themselves.
    near = 1e-5 if lora else 1e-3
    assert from_file == pytest.approx(losses(folder, "from-folder"), abs=near)
    done = hfcli("generate", "The lamp", "--model", str(tmp_path / "from-file"), "--greedy")
    assert done.returncode == 0, done.stderr


def test_llamas_rows_of_queries_and_keys_are_put_in_order(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import transformers
    from transformers import LlamaConfig, LlamaForCausalLM

    if transformers.__version__.startswith("5.4."):
        pytest.skip("transformers 5.4 adds Code Llama's tokens to the tokenizer of a Llama GGUF")
    folder = tmp_path / "folder"
    folder.mkdir()
    build_gpt2(folder, n_positions=1024)  # for its tokenizer
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config["vocab_size"], hidden_size=32, intermediate_size=48,
            num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            tie_word_embeddings=True, initializer_range=0.3,
            bos_token_id=config["bos_token_id"], eos_token_id=config["eos_token_id"],
        )
    ).save_pretrained(folder)  # fmt: skip
    write_gguf(folder, tmp_path / "model.gguf")
    capfd.readouterr()
    from_file, from_folder = (greedy(name, capfd) for name in (tmp_path / "model.gguf", folder))
    assert from_file.text == from_folder.text
    assert len(from_file.text) > 3
