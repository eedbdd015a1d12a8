"""Models that are damaged, unsafe, or made of several parts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gguf_file import write_gguf
from hfcli.errors import ModelError
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import open_engine
from hfcli.generation.engines.vllm import engine_arguments
from hfcli.generation.loading import ModelChoice, find_model, load_for_generation
from hfcli.generation.request import Request
from hfcli.generation.sampling import SamplingParams
from hfcli.models.resolve import resolve_model
from tests.conftest import build_gpt2
from tests.fake_hub import COMMIT, fake_hub, hub_env
from tests.helpers import hfcli

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def ignore(event: Any) -> None:
    pass


@pytest.fixture(scope="module")
def adapter(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter for the tiny GPT-2."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_gpt2)
    config = LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    folder = tmp_path_factory.mktemp("adapter")
    adapted: Any = get_peft_model(base, config)
    adapted.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.2, 0.6, 0.95])
def test_a_gguf_file_that_is_cut_off_is_told(tmp_path: Path, tiny_gpt2: Path, share: float) -> None:
    whole, cut = tmp_path / "whole.gguf", tmp_path / "cut.gguf"
    write_gguf(tiny_gpt2, whole)
    data = whole.read_bytes()
    cut.write_bytes(data[: max(4, int(share * len(data)))])
    with pytest.raises(ModelError) as caught:
        load_for_generation(ModelChoice(str(cut), device="cpu"), ignore)
    assert "cut off" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_embd": 48}, "not of the sizes"),
        ({"n_layer": "two"}, "expected int"),
        ({"model_type": "nonesuch"}, "nonesuch"),
        ({"model_type": "t5"}, "no such model of type t5"),
    ],
)
def test_a_configuration_that_does_not_fit_is_told(
    tmp_path: Path, tiny_gpt2: Path, change: dict[str, Any], told: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_gpt2, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ModelError) as caught:
        load_for_generation(ModelChoice(str(folder), device="cpu"), ignore)
    assert told in caught.value.message
    assert "\n" not in caught.value.message


def test_a_gguf_file_is_not_quantized_again(tmp_path: Path, tiny_gpt2: Path) -> None:
    write_gguf(tiny_gpt2, tmp_path / "m.gguf")
    with pytest.raises(ModelError, match="does not go with a GGUF file"):
        load_for_generation(ModelChoice(str(tmp_path / "m.gguf"), load_in="8bit"), ignore)


def test_a_pickled_adapter_is_refused_unless_allowed(
    tiny_gpt2: Path, adapter: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    folder = tmp_path / "pickled"
    shutil.copytree(adapter, folder)
    weights = folder / "adapter_model.safetensors"
    torch.save(load_file(weights), folder / "adapter_model.bin")
    weights.unlink()
    for choice in (ModelChoice(str(tiny_gpt2), adapter=str(folder)), ModelChoice(str(folder))):
        with pytest.raises(ModelError, match="pickle") as caught:
            load_for_generation(choice, ignore)
        assert "--allow-pickle" in (caught.value.hint or "")
    allowed = ModelChoice(str(tiny_gpt2), adapter=str(folder), allow_pickle=True)
    assert load_for_generation(allowed, ignore).parts[0].folder == folder


def test_what_is_no_adapter_is_told(tiny_gpt2: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no adapter"):
        load_for_generation(ModelChoice(str(tiny_gpt2), adapter=str(tiny_gpt2)), ignore)
    shutil.copytree(adapter, tmp_path / "broken")
    (tmp_path / "broken" / "adapter_config.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        load_for_generation(ModelChoice(str(tmp_path / "broken")), ignore)


def test_vllm_reads_no_pickle_and_no_adapter_folder(tiny_gpt2: Path, adapter: Path) -> None:
    from hfcli.errors import RecipeError

    def arguments(folder: Path, **choice: Any) -> dict[str, Any]:
        options = EngineOptions(choice=ModelChoice(**choice), listener=ignore)
        return engine_arguments(resolve_model(str(folder)), options)

    with pytest.raises(RecipeError, match="adapter folder"):
        arguments(adapter)
    weights = tiny_gpt2 / "model.safetensors"
    hidden = weights.rename(weights.with_suffix(".hidden"))
    try:
        (tiny_gpt2 / "pytorch_model.bin").touch()
        with pytest.raises(ModelError, match="pickle"):
            arguments(tiny_gpt2)
        assert arguments(tiny_gpt2, allow_pickle=True)["model"] == str(tiny_gpt2)
    finally:
        hidden.rename(weights)
        (tiny_gpt2 / "pytorch_model.bin").unlink()


def test_a_text_longer_than_the_draft_can_read_goes_on_without_guesses(
    tiny_gpt2_long: Path, tmp_path: Path
) -> None:
    build_gpt2(tmp_path, n_positions=24)
    choice = ModelChoice(str(tiny_gpt2_long), device="cpu")
    request = Request(0, (5, 6, 7), 3, SamplingParams(), 60)
    plain = open_engine(EngineOptions(choice=choice, listener=ignore, batch_size=1))
    guessed = open_engine(
        EngineOptions(choice=choice, listener=ignore, batch_size=1, draft_model=str(tmp_path))
    )
    (expected,), (found,) = plain.run([request]), guessed.run([request])
    assert found.ids == expected.ids
    assert len(found.ids) == 60
    assert 0 < guessed.counts.drafted < 24 * 5


def test_parts_of_a_model_are_fetched_before_the_network_is_left(
    tiny_gpt2: Path, adapter: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "someone/base"
    (folder / "adapter_config.json").write_text(json.dumps(config))
    flags = ["generate", "Bread", "--max-new-tokens", "4", "--greedy"]
    with fake_hub({"models/someone/base": tiny_gpt2, "models/someone/draft": tiny_gpt2}) as hub:
        env = hub_env(hub, tmp_path / "home")
        merged = hfcli(*flags, "--model", folder, env=env)
        assert merged.returncode == 0, merged.stderr
        guessed = hfcli(*flags, "--model", tiny_gpt2, "--draft-model", "someone/draft", env=env)
        assert guessed.returncode == 0, guessed.stderr
    assert guessed.stdout == hfcli(*flags, "--model", tiny_gpt2).stdout


def test_code_from_the_hub_is_pinned_by_its_commit(
    tiny_gpt2: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "hub" / "models--some--model" / "snapshots" / COMMIT
    shutil.copytree(tiny_gpt2, snapshot)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for revision in (None, "main"):
        choice = ModelChoice("some/model", revision=revision, trust_remote_code=True)
        with pytest.raises(ModelError, match="needs its commit") as caught:
            find_model(choice, ignore)
        assert COMMIT in (caught.value.hint or "")
    found = find_model(ModelChoice("some/model", COMMIT, trust_remote_code=True), ignore)
    assert found.source.folder == snapshot
    based = tmp_path / "based"
    shutil.copytree(adapter, based)
    config = json.loads((based / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "some/model"
    (based / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="code of its base"):
        find_model(ModelChoice(str(based), trust_remote_code=True), ignore)
