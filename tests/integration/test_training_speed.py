"""Training is faster than transformers' own code, and the same: values, gradients, chances."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from hfcli.fast import names
from hfcli.fast.memory import retain
from hfcli.fast.training import PARTS as TRAINING_PARTS
from hfcli.fast.training import attention, prepare_training
from hfcli.recipe.training import TrainingSection
from hfcli.results import Choice, Event
from tests.integration.test_training import run, write_recipe

PARTS = tuple(one.name for one in TRAINING_PARTS)
IDS = torch.tensor([[1, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 0]])
MASK = (IDS > 0).long()


def test_parts_have_the_names_of_the_recipe() -> None:
    (known,) = get_args(TrainingSection.model_fields["disable_optimizations"].annotation)
    assert get_args(known) == names("training") == ("memory", *PARTS)


def test_dropout_drops_as_many() -> None:
    torch.manual_seed(0)
    values = torch.ones(1_000_003)  # not a multiple of four
    kept = attention.drop(values, attention.keep_mask(values, 0.1))
    assert set(kept.tolist()) == {0.0, 1.0}
    # The standard deviation of the share is 0.0003.
    assert float((kept == 0).float().mean()) == pytest.approx(0.1, abs=0.0015)
    assert attention.kept_share(0.1) == pytest.approx(0.9, abs=1e-4)
    # Neighbours, which share a random number, are dropped independently.
    pairs = (kept[:1_000_000] == 0).view(-1, 2).all(-1).float().mean()
    assert float(pairs) == pytest.approx(0.01, abs=0.0008)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_has_its_gradients(masked: bool) -> None:
    torch.manual_seed(0)
    inputs = [
        torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True) for _ in "qkv"
    ]  # fmt: skip
    mask = _mask() if masked else None

    def same_draw(query: Any, key: Any, value: Any) -> Any:
        torch.manual_seed(3)
        return attention.attention(torch.nn.Module(), query, key, value, mask, dropout=0.4)[0]

    assert torch.autograd.gradcheck(same_draw, inputs)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_that_drops_nothing_is_torchs(masked: bool) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 3, 5, 4)
    mask = _mask() if masked else None
    ours, _ = attention.attention(torch.nn.Module(), query, key, value, mask, dropout=1e-9)
    theirs = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None
    )
    torch.testing.assert_close(ours, theirs.transpose(1, 2))


def _mask() -> torch.Tensor:
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool).tril()
    mask[1, :, 2:, :2] = False  # a second document
    return mask


@pytest.mark.parametrize("auto", [AutoModelForCausalLM, AutoModelForSequenceClassification])
@pytest.mark.parametrize("folder", ["tiny_gpt2", "tiny_bert"])
def test_a_model_is_its_own_outside_of_training(
    auto: Any, folder: str, request: pytest.FixtureRequest
) -> None:
    if (auto, folder) == (AutoModelForCausalLM, "tiny_bert"):
        pytest.skip("BERT writes no text")
    path: Path = request.getfixturevalue(folder)
    torch.manual_seed(0)
    model = auto.from_pretrained(path, pad_token_id=0)
    before = model(input_ids=IDS, attention_mask=MASK).logits
    assert len(prepare_training(model)) >= 2  # BERT has another GELU
    assert torch.equal(model(input_ids=IDS, attention_mask=MASK).logits, before)
    assert model.config.to_dict() == auto.from_pretrained(path, pad_token_id=0).config.to_dict()


PADDED = {"input_ids": IDS, "attention_mask": MASK}
PACKED = {"input_ids": IDS, "position_ids": torch.tensor([[0, 1, 2, 0, 1, 2], [0, 1, 0, 1, 2, 3]])}
GPT2 = ("tiny_gpt2", ("attn_pdrop", "resid_pdrop", "embd_pdrop"))
BERT = ("tiny_bert", ("hidden_dropout_prob", "attention_probs_dropout_prob"))


@pytest.mark.parametrize("rate", [0.0, 1e-9])
@pytest.mark.parametrize(
    ("auto", "kind", "inputs"),
    [
        (AutoModelForCausalLM, GPT2, {**PADDED, "labels": IDS}),
        (AutoModelForCausalLM, GPT2, {**PACKED, "labels": IDS}),
        (AutoModelForSequenceClassification, GPT2, {**PADDED, "labels": IDS[:, 0] * 0}),
        (AutoModelForSequenceClassification, BERT, {**PADDED, "labels": IDS[:, 0] * 0}),
    ],
)
def test_training_that_drops_nothing_has_the_models_gradients(
    rate: float, auto: Any, kind: Any, inputs: Any, request: pytest.FixtureRequest
) -> None:
    fixture, names = kind
    folder = request.getfixturevalue(fixture)  # built before the seed is set
    options = {"pad_token_id": 0, "use_cache": False, **dict.fromkeys(names, rate)}
    found = []
    for plain in (PARTS, ()):
        torch.manual_seed(0)  # of the new head
        model = auto.from_pretrained(folder, **options).double()
        model.train()
        prepare_training(model, plain)
        model(**inputs).loss.backward()
        found.append({name: p.grad for name, p in model.named_parameters()})
    before, after = found
    assert any(gradient is not None and gradient.abs().max() > 1e-6 for gradient in before.values())
    for name, gradient in before.items():
        torch.testing.assert_close(after[name], gradient, rtol=1e-5, atol=1e-8)


def test_what_is_named_stays_plain(tiny_gpt2: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_gpt2)
    classes = [type(module) for module in model.modules()]
    assert prepare_training(model, names("training")) == []
    assert [type(module) for module in model.modules()] == classes
    assert model.config._attn_implementation == "sdpa"


def test_memory_is_kept_where_there_is_a_switch() -> None:
    glibc = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallopt")
    assert retain() == glibc


def _curve(
    folder: Path, plain: tuple[str, ...], bf16: bool = False, **rates: float
) -> torch.Tensor:
    """Losses of 200 steps on the same batches."""
    model = AutoModelForCausalLM.from_pretrained(folder, use_cache=False, **rates)
    prepare_training(model, plain)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True, weight_decay=0.0)
    batches = torch.Generator().manual_seed(1)
    torch.manual_seed(2)
    losses = []
    for _ in range(200):
        starts = torch.randint(0, 40, (8, 1), generator=batches)
        ids = (starts + torch.arange(12) * (1 + starts % 3)) % 50 + 1
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return torch.stack(losses)


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The mean difference of two curves in standard errors, from means of ten steps."""
    means = (one - other).view(-1, 10).mean(-1)
    return float((means.mean() / (means.std() / len(means) ** 0.5)).abs())


def test_the_loss_falls_as_with_transformers_own_code(tiny_gpt2: Path) -> None:
    plain = _curve(tiny_gpt2, PARTS)
    ours = _curve(tiny_gpt2, ())
    assert plain[-20:].mean() < 0.7 * plain[:20].mean()
    assert not torch.equal(ours, plain)  # other random numbers
    assert _apart(ours, plain) < 3
    assert _apart(_curve(tiny_gpt2, (), bf16=True), plain) < 3
    # The test sees what is worth seeing: less dropout.
    less: dict[str, Any] = {"attn_pdrop": 0.02, "resid_pdrop": 0.02, "embd_pdrop": 0.02}
    assert _apart(_curve(tiny_gpt2, (), **less), plain) > 3


def test_a_run_tells_its_choices(tiny_gpt2: Path, tmp_path: Path) -> None:
    task = {"name": "text-classification"}
    only: dict[str, Any] = {
        "disable_optimizations": ["gelu"],
        "warmup_steps": 0,
        "max_steps": 1,
        "eval_strategy": "no",
        "save_strategy": "no",
    }
    path = write_recipe(tmp_path, tiny_gpt2, task=task, training=only)
    events: list[Event] = []
    run(path, listener=events.append)
    told = [event.text for event in events if isinstance(event, Choice)]
    assert "bf16: off" in told
    assert any(text.startswith("train_sampling_strategy: group_by_length") for text in told)
    assert any(text.startswith("attention: ") for text in told)
    assert not any(text.startswith("gelu: ") for text in told)
