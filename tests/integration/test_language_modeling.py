"""Laws of causal language modelling on a tiny GPT-2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from hfcli.device import Placement
from hfcli.errors import RecipeError
from hfcli.models.load import LoadedModel, ensure_pad_token, load_model
from hfcli.models.resolve import resolve_model
from hfcli.tasks.base import IGNORE
from hfcli.tasks.scoring import score
from hfcli.tasks.text_generation import TextGeneration
from tests.helpers import prepared

TEXTS = [
    "The harbour was quiet and the boats lay still. " * 6,
    "Bread.",
    "Nobody answered, for the wind had taken every word. " * 3,
    "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich.",
]
DATA = Dataset.from_dict({"text": TEXTS})


@pytest.fixture(scope="module")
def loaded(tiny_gpt2: Path) -> LoadedModel:
    loaded = load_model(
        source=resolve_model(str(tiny_gpt2)),
        task=TextGeneration(),
        dtype=torch.float32,
        placement=Placement(torch.device("cpu")),
    )
    ensure_pad_token(loaded)
    return loaded


def scored(loaded: LoadedModel, task: TextGeneration, batch_size: int = 4) -> Any:
    encoded = prepared(task, DATA, loaded, train=False)
    return score(
        task=task,
        model=loaded.model,
        prepared=encoded,
        batch_size=batch_size,
        pad_token_id=int(loaded.tokenizer.pad_token_id),
    )


def brute_force(loaded: LoadedModel, context: int) -> tuple[float, int]:
    """Every token by itself, after BOS and as much text as fits; one forward pass a token."""
    total, count = 0.0, 0
    for text in TEXTS:
        ids = [
            int(loaded.tokenizer.bos_token_id),
            *loaded.tokenizer(text, add_special_tokens=False)["input_ids"],
        ]
        for i in range(1, len(ids)):
            window = torch.tensor([ids[max(0, i - context) : i]])
            with torch.inference_mode():
                row = loaded.model(input_ids=window).logits[0, -1].double()
            total -= torch.log_softmax(row, -1)[ids[i]].item()
            count += 1
    return total, count


def test_stride_one_equals_brute_force(loaded: LoadedModel) -> None:
    scores = scored(loaded, TextGeneration(context=16, stride=1))
    nll, count = brute_force(loaded, context=16)
    assert sum(scores.inputs["n_tokens"]) == count
    assert sum(scores.inputs["nll"]) == pytest.approx(nll, rel=1e-6)
    assert scores.loss == pytest.approx(nll / count, rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_loss_is_token_weighted_and_independent_of_the_batch(
    loaded: LoadedModel, batch_size: int
) -> None:
    scores = scored(loaded, TextGeneration(block_size=32), batch_size)
    reference = scored(loaded, TextGeneration(block_size=32), 2)
    assert scores.inputs["nll"] == pytest.approx(reference.inputs["nll"], abs=1e-4)
    total = sum(scores.inputs["nll"]) / sum(scores.inputs["n_tokens"])
    assert scores.loss == pytest.approx(total, abs=1e-12)
    means = [n / t for n, t in zip(*(scores.inputs[k] for k in ("nll", "n_tokens")), strict=True)]
    assert abs(scores.loss - sum(means) / len(means)) > 1e-3, "a mean of means would be another"


def test_bytes_are_those_of_the_text_as_given(loaded: LoadedModel) -> None:
    scores = scored(loaded, TextGeneration(block_size=32))
    assert scores.inputs["n_bytes"] == [len(text.encode()) for text in TEXTS]
    assert scores.inputs["n_bytes"][3] > len(TEXTS[3])


def test_every_document_ends_in_a_supervised_eos(loaded: LoadedModel) -> None:
    task = TextGeneration(block_size=32, packing="no")
    encoded = prepared(task, DATA, loaded, train=True)
    batch = task.collate(encoded.features[:], int(loaded.tokenizer.pad_token_id))
    eos, pad = loaded.tokenizer.eos_token_id, loaded.tokenizer.pad_token_id
    assert int((batch["labels"] == eos).sum()) == len(TEXTS)
    assert int((batch["labels"] == pad).sum()) == 0
    assert int((batch["input_ids"] == pad).sum()) > 0, "without padding this proves nothing"
    masked = batch["attention_mask"] == 0
    assert bool((batch["labels"][masked] == IGNORE).all())


@pytest.mark.parametrize("packing", ["no", "bfd"])
def test_training_learns_every_token_once(loaded: LoadedModel, packing: Any) -> None:
    encoded = prepared(TextGeneration(block_size=16, packing=packing), DATA, loaded, train=True)
    assert max(encoded.lengths) <= 16
    learned = sorted(
        int(label) for feature in encoded.features for label in feature["labels"] if label != IGNORE
    )
    expected: list[int] = []
    for text in TEXTS:
        expected += loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
        expected.append(int(loaded.tokenizer.eos_token_id))
    assert learned == sorted(expected)
    assert encoded.counts.supervised == len(expected)


def test_wrapped_blocks_are_one_stream(loaded: LoadedModel) -> None:
    encoded = prepared(TextGeneration(block_size=16, packing="wrapped"), DATA, loaded, train=True)
    stream = [int(i) for feature in encoded.features for i in feature["input_ids"]]
    expected: list[int] = []
    for text in TEXTS:
        expected += loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
        expected.append(int(loaded.tokenizer.eos_token_id))
    assert stream == expected


def test_a_block_longer_than_the_context_is_refused(loaded: LoadedModel) -> None:
    with pytest.raises(RecipeError, match="block_size is 65, but the model takes 64"):
        prepared(TextGeneration(block_size=65), DATA, loaded, train=True)


def test_the_new_pad_token_changes_no_logit_of_the_others(
    tiny_gpt2: Path, loaded: LoadedModel
) -> None:
    from transformers import AutoModelForCausalLM

    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        before = AutoModelForCausalLM.from_pretrained(tiny_gpt2)(input_ids=ids).logits
        after = loaded.model(input_ids=ids).logits
    size = before.shape[-1]
    torch.testing.assert_close(after[..., :size], before, atol=1e-5, rtol=0)
