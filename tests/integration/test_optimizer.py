"""AdamW by rows is AdamW: weights, state, accumulated gradients, and resumed runs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from hfcli.fast.training import optimizer as ours
from hfcli.fast.training.clipping import clip_gradients
from hfcli.fast.training.optimizer import OPTIMIZER, make_state, quicken
from tests.integration.test_training import RUNS, Killed, assert_same, log, run, write_recipe

WORDS, WIDTH = 400, 32
POSITIONS = 64  # of tiny_gpt2


@pytest.fixture(autouse=True)
def small_embeddings_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "SMALLEST", 0)


class Net(torch.nn.Module):
    """Words to two classes; the last word stands for padding, and has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(WORDS, WIDTH, padding_idx=WORDS - 1)
        self.inner = torch.nn.Linear(WIDTH, 48)
        self.head = torch.nn.Linear(48, 2)

    def forward(self, ids: Any) -> Any:
        return self.head(torch.tanh(self.inner(self.words(ids).mean(1))))


def adamw(model: Any, **options: Any) -> Any:
    return torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True, weight_decay=0.0, **options)


def batch(step: int, seen: int) -> torch.Tensor:
    choose = torch.Generator().manual_seed(step)
    ids = torch.randint(0, seen, (8, 6), generator=choose)
    ids[:3, 4:] = WORDS - 1
    return ids


def train(model: Any, optimizer: Any, steps: range, seen: int, parts: int = 1) -> list[float]:
    """Losses; the label of a row is whether its words are even, mostly."""
    losses = []
    for step in steps:
        total = 0.0
        for ids in batch(step, seen).chunk(parts):
            labels = (ids % 2).float().mean(1).round().long()
            loss = torch.nn.functional.cross_entropy(model(ids), labels, reduction="sum") / 8
            torch.autograd.backward(loss)
            total += loss.item()
        clip_gradients(model.parameters(), 0.3, optimizer)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses


def pair(**groups: Any) -> tuple[Any, Any, Any, Any]:
    """The same net with torch's AdamW, and with ours."""
    torch.manual_seed(0)
    net = Net()
    other = copy.deepcopy(net)
    plain, quick = adamw(net), adamw(other)
    for optimizer in (plain, quick):
        optimizer.param_groups[0].update(groups)
    assert quicken(quick, other)
    assert other.words.sparse
    assert not net.words.sparse
    return net, plain, other, quick


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("seen", [40, 300])  # few rows, and more than are collected
def test_two_hundred_steps_are_torchs(seen: int, weight_decay: float) -> None:
    net, plain, other, quick = pair(weight_decay=weight_decay)
    before = train(net, plain, range(200), seen)
    after = train(other, quick, range(200), seen)
    assert sum(before[-20:]) < 0.8 * sum(before[:20])
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    for one, theirs in zip(other.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(one, theirs, rtol=1e-3, atol=1e-4)


def test_rows_that_never_occurred_are_as_torch_leaves_them() -> None:
    net, plain, other, quick = pair()
    first = other.words.weight.detach().clone()
    train(net, plain, range(20), 40)
    train(other, quick, range(20), 40)
    assert torch.equal(other.words.weight[40:], first[40:])
    assert torch.equal(net.words.weight[40:], first[40:])
    assert (other.words.weight[:40] != first[:40]).any(1).all()


def test_a_row_that_has_occurred_goes_on_moving() -> None:
    net, plain, other, quick = pair()
    for model, optimizer in ((net, plain), (other, quick)):
        train(model, optimizer, range(5), 40)
        before = model.words.weight.detach().clone()
        train(model, optimizer, range(5, 6), 1)  # but for padding, a batch of word 0 alone
        assert (model.words.weight[:40] != before[:40]).any(1).all()
    torch.testing.assert_close(other.words.weight, net.words.weight)


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    _, _, whole, quick = pair()
    _, _, divided, other = pair()
    train(whole, quick, range(10), 40)
    train(divided, other, range(10), 40, parts=4)
    torch.testing.assert_close(divided.words.weight, whole.words.weight, rtol=1e-4, atol=1e-5)


def test_the_state_is_torchs_and_goes_on_in_either() -> None:
    net, plain, other, quick = pair()
    train(net, plain, range(10), 40)
    train(other, quick, range(10), 40)
    state = copy.deepcopy(quick.state_dict())
    torch.testing.assert_close(state, plain.state_dict())
    net.load_state_dict(other.state_dict())
    plain.load_state_dict(state)
    _, _, again, resumed = pair()
    again.load_state_dict(other.state_dict())
    resumed.load_state_dict(copy.deepcopy(state))
    for model, optimizer in ((net, plain), (other, quick), (again, resumed)):
        train(model, optimizer, range(10, 20), 40)
    torch.testing.assert_close(net.words.weight, other.words.weight)
    assert torch.equal(again.words.weight, other.words.weight)
    # Without the moments it would be another: the check can fail.
    _, _, fresh, begun = pair()
    fresh.load_state_dict(net.state_dict())
    train(fresh, begun, range(10), 40)
    assert not torch.equal(fresh.words.weight, other.words.weight)


def test_a_state_made_early_changes_nothing() -> None:
    _, _, one, late = pair()
    _, _, other, early = pair()
    make_state(early)
    assert early.state
    train(one, late, range(5), 40)
    train(other, early, range(5), 40)
    assert torch.equal(one.words.weight, other.words.weight)
    torch.testing.assert_close(early.state_dict(), late.state_dict(), rtol=0, atol=0)


def test_only_embeddings_whose_weights_are_used_once_get_gradients_by_rows(
    tiny_gpt2: Path,
) -> None:
    tied = AutoModelForCausalLM.from_pretrained(tiny_gpt2)
    assert tied.get_output_embeddings().weight is tied.get_input_embeddings().weight
    assert quicken(adamw(tied), tied)
    assert not tied.get_input_embeddings().sparse
    classifier = AutoModelForSequenceClassification.from_pretrained(tiny_gpt2)
    assert quicken(adamw(classifier), classifier)
    assert classifier.get_input_embeddings().sparse


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=1e-3),
        lambda p: torch.optim.AdamW(p, lr=1e-3),
        lambda p: torch.optim.AdamW(p, lr=1e-3, fused=True, amsgrad=True),
    ],
)
def test_any_other_optimizer_is_left_alone(make: Any) -> None:
    net = Net()
    optimizer = make(net.parameters())
    kind = type(optimizer)
    assert not quicken(optimizer, net)
    assert type(optimizer) is kind
    assert not net.words.sparse


@pytest.mark.parametrize("name", ["grouped", "random"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    name: str, tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "MOST_SEEN", 0.9)  # of a vocabulary that is small
    by_rows: list[bool] = []
    before = ours._adamw_class()._step_of_rows

    def noted(optimizer: Any, group: Any, parameter: Any, gradient: Any) -> Any:
        rest = before(optimizer, group, parameter, gradient)
        if len(parameter) > POSITIONS:
            by_rows.append(rest is None)
        return rest

    monkeypatch.setattr(ours._adamw_class(), "_step_of_rows", noted)
    path = write_recipe(tmp_path, tiny_gpt2, **RUNS[name])
    reference = run(path, f"output_dir={tmp_path / 'whole'}")
    assert by_rows
    assert all(by_rows), "every step must be one of rows"
    with pytest.raises(Killed):
        run(path, kill_at=6)
    assert_same(run(path, resume=True), reference)
    plain = run(path, f"output_dir={tmp_path / 'plain'}", f"training.plain=[{OPTIMIZER}]")
    losses = [[line["loss"] for line in log(f) if "loss" in line] for f in (reference, plain)]
    assert len(losses[0]) > 6
    torch.testing.assert_close(*map(torch.tensor, losses), rtol=1e-3, atol=0)


def test_a_run_that_does_not_clip_tells_the_norm_of_its_gradients(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, **RUNS["grouped"])
    short = ("training.max_grad_norm=0", "training.max_steps=3", "training.logging_steps=1")
    quick = run(path, f"output_dir={tmp_path / 'quick'}", *short)
    plain = run(path, f"output_dir={tmp_path / 'plain'}", *short, f"training.plain=[{OPTIMIZER}]")
    norms = [[line["grad_norm"] for line in log(f) if "loss" in line] for f in (quick, plain)]
    assert len(norms[0]) == 3
    assert min(norms[0]) > 0
    torch.testing.assert_close(*map(torch.tensor, norms), rtol=1e-3, atol=0)
