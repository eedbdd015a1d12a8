"""A causal language model is trained, scored and sampled with the vocabulary that it came with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from hfcli.generation.beams import beam_search
from hfcli.generation.chat import Conversation
from hfcli.generation.run import RequestMaker, TextOptions
from hfcli.models.load import LoadedModel
from hfcli.models.merge import merge_adapter
from hfcli.models.resolve import ModelSource
from hfcli.models.tokenizer import PAD_TOKEN
from hfcli.recipe.sections import GenerationSettings
from tests.integration.test_evaluation import scored
from tests.integration.test_training import run, write_recipe
from tests.models import causal

TASKS: dict[str, dict[str, Any]] = {
    "padded": {"packing": "no"},
    "packed": {"block_size": 48},
    "wrapped": {"block_size": 32, "packing": "wrapped"},
}


@pytest.fixture(scope="module")
def padless(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_gpt2` with another token where hfcli's own stands: nothing is there to pad with."""
    folder = shutil.copytree(tiny_gpt2, tmp_path_factory.mktemp("padless") / "gpt2")
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    assert PAD_TOKEN in text
    (folder / "tokenizer.json").write_text(text.replace(PAD_TOKEN, "<|o|>"), encoding="utf-8")
    return folder


def plain_loss(folder: Path, texts: list[str], tokenizer: Any) -> float:
    """Nats a token after BOS, by transformers alone, one text at a time."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
    total, count = 0.0, 0
    for text in texts:
        ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]])
        with torch.inference_mode():
            logits = model(ids).logits[0, :-1].double()
        total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        count += ids.shape[1] - 1
    assert count > 50
    return total / count


@pytest.mark.parametrize(
    ("kind", "pad"), [*((kind, "none") for kind in [*TASKS, "lora"]), ("padded", "eos")]
)
def test_a_run_is_scored_as_plain_transformers_does(
    kind: str, pad: str, padless: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(padless, tmp_path / "base")
    own: Any = AutoTokenizer.from_pretrained(base)
    if pad == "eos":
        own.pad_token = own.eos_token
        own.save_pretrained(base)
    lora = {"lora": {"r": 2}} if kind == "lora" else {}
    task = {"name": "text-generation", **TASKS.get(kind, TASKS["padded"])}
    path = write_recipe(tmp_path, base, task=task, model=lora)
    folder = run(path, "training.max_steps=3", "training.learning_rate=0.01")
    recorded = json.loads((folder / "result.json").read_text(encoding="utf-8"))["metrics"]["loss"]
    evaluated = scored(folder, tmp_path / "evaluation")
    assert evaluated.metrics["loss"] == pytest.approx(recorded, rel=1e-6)
    whole = folder
    if kind == "lora":
        merge_adapter(name=str(folder), folder=tmp_path / "merged")
        whole = tmp_path / "merged"
    sizes = {
        AutoModelForCausalLM.from_pretrained(at).get_input_embeddings().weight.shape
        for at in (base, whole)
    }
    assert len(sizes) == 1, "the vocabulary has grown"
    tokenizer: Any = AutoTokenizer.from_pretrained(whole)
    assert len(tokenizer) == len(own)
    assert tokenizer.pad_token == own.pad_token
    told = (tmp_path / "evaluation" / "predictions.jsonl").read_text(encoding="utf-8")
    texts = [json.loads(line)["text"] for line in told.splitlines()]
    assert texts
    if kind == "padded":
        assert plain_loss(whole, texts, tokenizer) == pytest.approx(recorded, rel=1e-6)


@pytest.fixture(scope="module")
def eager(tiny_gpt2: Path) -> Any:
    """A model from scratch, as it were, that would write hfcli's own padding token for ever."""
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_gpt2).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_gpt2)
    tokenizer.pad_token = PAD_TOKEN
    pad = int(tokenizer.pad_token_id)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    with torch.no_grad():
        model.transformer.ln_f.bias[0] = 5.0
        model.lm_head.weight[pad, 0] = 100.0
        assert int(model(torch.tensor([[5, 6]])).logits[0, -1].argmax()) == pad
    return LoadedModel(model, tokenizer, ModelSource("eager", Path()))


@pytest.mark.parametrize(
    "settings",
    [{"do_sample": False}, {"temperature": 5.0}, {"num_beams": 3}, {"repetition_penalty": 1.1}],
    ids=str,
)
def test_padding_that_hfcli_added_is_never_written(eager: Any, settings: dict[str, Any]) -> None:
    chosen = GenerationSettings(**settings)
    maker = RequestMaker(eager, chosen, TextOptions())
    requests = [maker.make(i, (5 + i, 6, 7)[: 1 + i], seed=i) for i in range(3)]
    if "num_beams" in settings:
        texts = beam_search(eager, requests[:1], maker.config, None)
    else:
        engine = causal.engine_of(eager.model, eager.tokenizer)
        texts = list(engine.run(requests))
    assert all(len(text.ids) > 1 for text in texts)
    assert not {eager.tokenizer.pad_token_id} & {i for text in texts for i in text.ids}


def test_chat_never_writes_padding_that_hfcli_added(eager: Any) -> None:
    talk = Conversation(
        loaded=eager, settings=GenerationSettings(max_new_tokens=8), system=None,
        chat_template=False, seed=0,
    )  # fmt: skip
    answered = talk.say("the boat", lambda text: None)
    assert answered.n_new_tokens > 1
    assert eager.tokenizer.pad_token_id not in talk._read
