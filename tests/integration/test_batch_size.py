"""`per_device_train_batch_size: auto`: what fits is chosen, and the result stays the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from hfcli.recipe.load import load_recipe
from hfcli.results import Note
from hfcli.training import batch_size, trial
from hfcli.training.arguments import training_arguments
from hfcli.training.setup import set_up
from hfcli.training.trial import Trial
from tests.integration.test_gradients import CPU, TASKS, gradients
from tests.integration.test_training import RUNS, Killed, assert_same, run, write_recipe

AUTO = ["training.per_device_train_batch_size=auto", "training.effective_batch_size=8"]
MIB = 2**20


def settle(recipe: Any, setup: Any, listener: Any = lambda _event: None) -> Any:
    """The recipe with numbers for `auto`."""
    arguments = training_arguments(recipe=recipe, device=CPU.device)
    return batch_size.settle_batch_size(
        recipe=recipe, setup=setup, arguments=arguments, listener=listener
    )


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets how many rows fit, as if every row took a MiB."""
    monkeypatch.setattr(trial, "used_memory", lambda device: 0)

    def rows(number: int) -> None:
        free = int(number * MIB / batch_size.MARGIN) + 1
        monkeypatch.setattr(batch_size, "free_memory", lambda device: free)
        needs = iter([1 * MIB, 1 * MIB, 2 * MIB])
        monkeypatch.setattr(trial, "peak_memory", lambda work, **rest: (work(), next(needs))[1])

    return rows


@pytest.mark.parametrize(
    ("total", "fitting", "chosen"),
    [(8, 8, 8), (8, 7, 4), (8, 1, 1), (8, 0, 1), (12, 5, 4), (7, 6, 1), (6, 100, 6)],
)
def test_the_largest_divisor_that_fits(total: int, fitting: int, chosen: int) -> None:
    assert batch_size.largest_rows(total, lambda rows: rows * 10, fitting * 10 + 5) == chosen


def test_without_knowing_the_memory_the_default_is_not_exceeded() -> None:
    assert batch_size.largest_rows(64, lambda rows: None, 10) == 8
    assert batch_size.largest_rows(6, lambda rows: None, 10) == 6


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("fitting", [1, 3])
def test_the_gradients_are_those_of_the_explicit_batch(
    name: str, fitting: int, room: Any, tiny_gpt2: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task=TASKS[name])
    still = [
        "training.learning_rate=1e-30", "training.num_train_epochs=1", "training.warmup_steps=0",
        "training.max_grad_norm=0", "training.save_strategy=no",
    ]  # fmt: skip
    recipe = load_recipe(path, [*still, *AUTO])
    setup = set_up(recipe=recipe, placement=CPU)
    for module in setup.loaded.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    setup.loaded.model.double()
    before = {name: tensor.clone() for name, tensor in setup.loaded.model.state_dict().items()}
    room(fitting)
    settled = settle(recipe, setup)
    chosen = {1: (1, 8), 3: (2, 4)}[fitting]
    assert settled.training.split == chosen
    for key, tensor in setup.loaded.model.state_dict().items():
        assert torch.equal(tensor, before[key]), "trying changed the weights"
    whole, divided = gradients(setup, recipe, (8, 1)), gradients(setup, settled, chosen)
    assert len(whole) > 1
    for one, other in zip(divided, whole, strict=True):
        scale = other.abs().max().item()
        torch.testing.assert_close(one / scale, other / scale, atol=1e-6, rtol=0)


def test_a_run_is_that_of_the_numbers_chosen_also_when_it_goes_on_with_other_memory(
    room: Any, tiny_gpt2: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, **RUNS["grouped"])
    numbers = "training.per_device_train_batch_size=2", "training.gradient_accumulation_steps=4"
    explicit = run(path, *numbers, f"output_dir={tmp_path / 'explicit'}")
    auto = [*AUTO, f"output_dir={tmp_path / 'auto'}"]
    notes: list[Any] = []
    room(2)
    with pytest.raises(Killed):
        run(path, *auto, kill_at=6, listener=notes.append)
    (told,) = [n.text for n in notes if isinstance(n, Note) and "auto" in n.text]
    assert "auto: 2, with gradient_accumulation_steps 4 (8 rows a step)" in told
    assert "4 would need" in told
    room(8)
    folder = run(path, *auto, resume=True)
    assert_same(folder, explicit)
    record = json.loads((folder / "run.json").read_text())["recipe"]["training"]
    resolved = yaml.safe_load((folder / "recipe.yaml").read_text())["training"]
    for found in (record, resolved):
        assert found["per_device_train_batch_size"] == 2
        assert found["gradient_accumulation_steps"] == 4
    load_recipe(folder / "recipe.yaml")


def test_real_memory_is_measured(tiny_gpt2: Path, tmp_path: Path) -> None:
    """A tiny model fits as a whole, wherever this runs, and the note has the sizes."""
    path = write_recipe(tmp_path, tiny_gpt2, **RUNS["packed"])
    recipe = load_recipe(path, AUTO)
    notes: list[Any] = []
    setup = set_up(recipe=recipe, placement=CPU)
    settled = settle(recipe, setup, notes.append)
    assert settled.training.split == (8, 1)
    assert "GiB that may be used" in notes[-1].text


def test_a_gpu_that_has_no_room_for_two_rows_takes_one(
    room: Any, tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, **RUNS["packed"])
    recipe = load_recipe(path, AUTO)
    setup = set_up(recipe=recipe, placement=CPU)
    room(8)
    forward = type(setup.loaded.model).forward

    def limited(self: Any, input_ids: Any = None, **rest: Any) -> Any:
        if input_ids.shape[0] > 1:
            raise torch.OutOfMemoryError("no room")
        return forward(self, input_ids=input_ids, **rest)

    monkeypatch.setattr(type(setup.loaded.model), "forward", limited)
    recipe = recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"loss_type": "nll"})}
    )
    settled = settle(recipe, setup)
    assert settled.training.split == (1, 8)


def test_on_a_device_that_does_not_report_its_memory_batches_are_tried(
    tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task=TASKS["padded"])
    setup = set_up(recipe=load_recipe(path, AUTO), placement=CPU)
    monkeypatch.setattr(batch_size, "free_memory", lambda device: None)
    passed = Trial.largest_training

    def limited(self: Any, batches: Any) -> None:
        if max(map(len, batches)) > 2:
            raise torch.OutOfMemoryError("XPU out of memory")
        passed(self, batches)

    monkeypatch.setattr(Trial, "largest_training", limited)
    notes: list[Any] = []
    settled = settle(load_recipe(path, AUTO), setup, notes.append)
    assert settled.training.split == (2, 4)
    assert "the device does not report its memory" in notes[0].text
