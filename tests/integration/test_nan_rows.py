"""NaN in one row costs that row; NaN in the weights is told, and never saved."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from hfcli.errors import ModelError, RunError
from hfcli.generation.bulk import generate_file
from hfcli.generation.bulk_files import BulkFiles
from hfcli.generation.chat import Conversation
from hfcli.generation.loading import ModelChoice
from hfcli.generation.prompts import PromptOptions
from hfcli.generation.run import TextOptions, generate
from hfcli.generation.samples import write_samples
from hfcli.generation.scheduler import Batch
from hfcli.models.load import LoadedModel
from hfcli.models.merge import merge_adapter
from hfcli.models.resolve import ModelSource
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import BulkResult
from tests.integration.test_training import run, write_recipe

POISON = "~"  # its embedding is NaN, and no other prompt has it
PROMPTS = ["the boat", "the wind is", "calm", "the storm and the sea", "boat"]
SETTINGS = GenerationSettings(max_new_tokens=6, temperature=0.0)


def poisoned(base: Path, folder: Path, token: str | None) -> Path:
    """A copy of a model in which one token's embedding is NaN; None: every weight is."""
    shutil.copytree(base, folder)
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    embeddings = model.get_input_embeddings().weight
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(embeddings.detach().clone())
    with torch.no_grad():
        if token is None:
            embeddings[:] = math.nan
        else:
            (one,) = tokenizer(token)["input_ids"]
            embeddings[one] = math.nan
            model.lm_head.weight[one] = -1.0
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def one_token(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return poisoned(tiny_gpt2, tmp_path_factory.mktemp("one") / "model", POISON)


@pytest.fixture(scope="module")
def all_nan(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return poisoned(tiny_gpt2, tmp_path_factory.mktemp("all") / "model", None)


def bulk(
    model: Path, folder: Path, prompts: list[str], **options: Any
) -> tuple[BulkResult, list[dict[str, Any]]]:
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    (folder / "in.jsonl").write_text(rows, encoding="utf-8")
    on_error = options.pop("on_error", "record")
    size = options.pop("batch_size", 4)
    result = generate_file(
        files=BulkFiles(str(folder / "in.jsonl"), str(folder / "out.jsonl"), on_error=on_error),
        choice=ModelChoice(str(model), device="cpu"), settings=SETTINGS,
        options=TextOptions(**options), seed=0, listener=lambda event: None, batch_size=size,
    )  # fmt: skip
    lines = (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()
    return result, [json.loads(line) for line in lines]


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("options", [{}, {"num_samples": 2}, {"logprobs": 2}], ids=str)
def test_nan_in_one_row_costs_that_row_alone(
    options: dict[str, Any], size: int, one_token: Path, tmp_path: Path
) -> None:
    _, alone = bulk(one_token, tmp_path / "sound", PROMPTS, batch_size=1, **options)
    mixed = [f"the {POISON} boat", *PROMPTS[:2], POISON, *PROMPTS[2:], f"calm {POISON}"]
    result, found = bulk(one_token, tmp_path / "mixed", mixed, batch_size=size, **options)
    samples = options.get("num_samples", 1)
    assert result.errors == 3 * samples
    failed = [r for r in found if r["finish_reason"] == "error"]
    assert len(failed) == 3 * samples
    for record in failed:
        assert record["text"] is None
        assert POISON in record["prompt"]
        assert "in.jsonl" in record["error"]
        assert "NaN logits" in record["error"]
    assert len(alone) == len(PROMPTS) * samples
    texts = {(r["prompt"], r["sample"]): r["text"] for r in found if r["error"] is None}
    if samples == 1:  # a seed goes with the row's number
        assert texts == {(r["prompt"], r["sample"]): r["text"] for r in alone}
    assert len(texts) == len(alone)


def test_a_row_may_fail_in_the_middle_of_its_text(
    one_token: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, alone = bulk(one_token, tmp_path / "sound", PROMPTS)
    take, spoiled = Batch._take, []

    def spoil(self: Batch, rows: Any, logits: torch.Tensor) -> None:
        for i, row in enumerate(rows):
            if row.request.number == 1 and len(row.new) == 3:
                logits = logits.clone()
                logits[i] = math.nan
                spoiled.append(i)
        take(self, rows, logits)

    monkeypatch.setattr(Batch, "_take", spoil)
    result, found = bulk(one_token, tmp_path / "mixed", PROMPTS)
    assert spoiled
    assert result.errors == 1
    assert found[1]["error"] is not None
    assert [r["text"] for r in found if r["error"] is None] == [
        r["text"] for i, r in enumerate(alone) if i != 1
    ]


def ways(model: Path, prompt: str) -> Iterator[Any]:
    loaded = LoadedModel(
        AutoModelForCausalLM.from_pretrained(model).eval(),
        AutoTokenizer.from_pretrained(model), ModelSource("tiny", Path()),
    )  # fmt: skip
    plain = PromptOptions(chat_template=False)
    for options in ({}, {"num_samples": 2}, {"logprobs": 1}):
        yield lambda options=options: generate(
            prompt=prompt, choice=ModelChoice(str(model), device="cpu"), settings=SETTINGS,
            options=TextOptions(prompt=plain, **options), seed=0, listener=lambda event: None,
        )  # fmt: skip
    talk = Conversation(loaded=loaded, settings=SETTINGS, system=None, chat_template=False, seed=0)
    yield lambda: talk.say(prompt, lambda text: None)
    yield lambda: write_samples(loaded, [prompt])


@pytest.mark.parametrize("kind", ["one_token", "all_nan"])
def test_a_single_text_of_nan_ends_in_one_line(kind: str, request: pytest.FixtureRequest) -> None:
    tried = 0
    for way in ways(request.getfixturevalue(kind), POISON):
        tried += 1
        with pytest.raises(RunError, match="NaN logits"):
            way()
    assert tried == 5


@pytest.mark.parametrize("on_error", ["record", "skip", "fail"])
def test_a_model_of_nan_ends_a_file(on_error: str, all_nan: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="NaN logits"):
        bulk(all_nan, tmp_path, PROMPTS, on_error=on_error)


def test_an_adapter_of_nan_is_not_merged(tiny_gpt2: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    task = {"name": "text-generation", "packing": "no"}
    path = write_recipe(tmp_path, tiny_gpt2, task=task, model={"lora": {"r": 2}})
    folder = run(path, "training.max_steps=1", "training.warmup_steps=0")
    file = folder / "adapter_model.safetensors"
    weights = load_file(file)
    next(iter(weights.values()))[:] = math.nan
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not all numbers"):
        merge_adapter(name=str(folder), folder=tmp_path / "merged")
    assert not (tmp_path / "merged" / "config.json").exists()


@pytest.mark.parametrize("last", [1, 2])
@pytest.mark.parametrize("lora", [{}, {"lora": {"r": 2}}], ids=["whole", "lora"])
def test_weights_that_are_not_finite_are_never_saved(
    last: int, lora: dict[str, Any], tiny_gpt2: Path, tmp_path: Path
) -> None:
    """Finite gradients times a rate beyond float32, at the last step or at a checkpoint."""
    task = {"name": "text-generation", "packing": "no"}
    path = write_recipe(tmp_path, tiny_gpt2, task=task, model=lora)
    values = (
        f"max_steps={last}", "save_steps=1", "eval_strategy=no", "warmup_steps=0",
        "learning_rate=1e39", f"save_strategy={'no' if last == 1 else 'steps'}",
    )  # fmt: skip
    with pytest.raises(RunError, match="weights that are not finite at step 1"):
        run(path, *(f"training.{value}" for value in values))
    assert (tmp_path / "run").is_dir()
    assert not list((tmp_path / "run").rglob("*.safetensors"))
