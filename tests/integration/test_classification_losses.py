"""Laws of the losses of text classification: what they equal, and what they do not depend on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from sklearn.utils.class_weight import compute_class_weight
from transformers import TrainerCallback

from hfcli.device import Placement
from hfcli.errors import RecipeError
from hfcli.recipe.load import load_recipe
from hfcli.recipe.schema import Recipe
from hfcli.tasks.losses import LossOptions, binary_cross_entropy, cross_entropy, focal
from hfcli.tasks.text_classification import TextClassification
from hfcli.training.arguments import arguments_for, training_arguments
from hfcli.training.setup import RunSetup, set_up
from hfcli.training.trainer import make_trainer
from hfcli.training.validation import validation_scores
from tests.conftest import SENTENCES

CPU = Placement(torch.device("cpu"))
LABELS = ["calm", "storm", "calm", "calm", "fog", "calm", "storm"]
MANY = [["calm"], ["calm", "fog"], [], ["storm"], ["calm"], ["calm", "storm", "fog"], ["calm"]]
NUMBERS = [0.5, 2, -1.5, 4, 3.25, -100, 0]  # -100 is a number like any other
TASKS: dict[str, tuple[list[Any], dict[str, Any], float]] = {
    "plain": (LABELS, {}, 0.0),
    "pairs": (LABELS, {"text_pair_column": "other"}, 0.0),
    "weights-smoothing-focal": (LABELS, {"class_weights": "balanced", "focal_gamma": 2.0}, 0.1),
    "given-weights": (LABELS, {"class_weights": {"fog": 7, "storm": 0.5}}, 0.0),
    "several": (MANY, {"problem_type": "multi_label_classification"}, 0.0),
    "several-weights-focal": (
        MANY,
        {
            "problem_type": "multi_label_classification",
            "class_weights": "balanced",
            "focal_gamma": 1.5,
        },
        0.0,
    ),
    "regression": (NUMBERS, {"problem_type": "regression"}, 0.0),
}
MODELS = ("tiny_gpt2", "tiny_bert")


def recipe_for(name: str, model: Path, folder: Path) -> Recipe:
    """A recipe over 29 rows, 21 of them for training: two whole steps of 8, and one of 5."""
    labels, task, _ = TASKS[name]
    rows = [
        {
            "text": f"{SENTENCES[i % 4]} {'again and ' * (i % 5)}{i}",
            "other": SENTENCES[(i + 1) % 3],
            "label": labels[i % 7],
        }
        for i in range(29)
    ]
    for split, part in (("train", rows[:21]), ("dev", rows[21:])):
        text = "\n".join(json.dumps(row) for row in part)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    values = {
        "task": {"name": "text-classification", **task},
        "model": {"name_or_path": str(model)},
        "data": {"train": "train.jsonl", "validation": "dev.jsonl"},
        "training": {
            "learning_rate": 1e-30, "num_train_epochs": 1, "max_grad_norm": 0,
            "save_strategy": "no", "bf16": False,
        },
        "output_dir": "run",
    }  # fmt: skip
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return load_recipe(path)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


def gradients(
    setup: RunSetup, recipe: Recipe, split: tuple[int, int], smoothing: float
) -> list[torch.Tensor]:
    """The gradients of every optimizer step of an epoch, with weights that stay as they are."""
    steps: list[torch.Tensor] = []

    class Keep(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kw: Any) -> None:
            grads = [p.grad.flatten() for p in kw["model"].parameters() if p.grad is not None]
            steps.append(torch.cat(grads).clone())

    arguments = arguments_for(
        training_arguments(recipe=recipe, device=CPU.device),
        folder=Path(str(recipe.output_dir)) / ".saving", split=split, evaluate=False,
    )  # fmt: skip
    section = recipe.training.model_copy(update={"label_smoothing_factor": smoothing})
    recipe = recipe.model_copy(update={"training": section})
    make_trainer(recipe=recipe, setup=setup, arguments=arguments, callbacks=[Keep()]).train()
    return steps


@pytest.mark.parametrize("name", TASKS)
def test_gradients_do_not_depend_on_how_a_step_is_divided(
    name: str, model: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(name, model, tmp_path)
    setup = set_up(recipe=recipe, placement=CPU)
    for module in setup.loaded.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    setup.loaded.model.double()  # the sums differ in order, and float32 would show that
    whole = gradients(setup, recipe, (8, 1), TASKS[name][2])
    assert len(whole) == 3, "two whole steps and a partial one"
    for split in ((4, 2), (1, 8)):
        divided = gradients(setup, recipe, split, TASKS[name][2])
        for one, other in zip(divided, whole, strict=True):
            scale = other.abs().max().item()
            assert scale > 0
            torch.testing.assert_close(one / scale, other / scale, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", TASKS)
def test_the_validation_loss_does_not_depend_on_the_batch(
    name: str, model: Path, tmp_path: Path
) -> None:
    setup = set_up(recipe=recipe_for(name, model, tmp_path), placement=CPU)
    losses = [validation_scores(setup, batch_size)["loss"] for batch_size in (1, 3, 8)]
    assert losses[0] > 0
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-6)


@pytest.mark.parametrize("name", ["plain", "several", "regression"])
def test_the_plain_loss_of_a_step_is_the_models_own(name: str, model: Path, tmp_path: Path) -> None:
    setup = set_up(recipe=recipe_for(name, model, tmp_path), placement=CPU)
    task, network = setup.task, setup.loaded.model
    batch = task.collate(setup.train.features[:], int(setup.loaded.tokenizer.pad_token_id))
    loss = task.loss_function(labels={}, n_rows=21, label_smoothing=0)
    assert loss is not None
    n_items = batch["labels"].ne(-100).sum()
    assert n_items == batch["labels"].numel(), "Trainer would count a label as absent"
    with torch.inference_mode():
        outputs: Any = network(**batch)
        own = loss(outputs, batch["labels"], num_items_in_batch=n_items)
    torch.testing.assert_close(own, outputs.loss)


def logits_and_labels(n_labels: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(64, n_labels, generator=generator)
    return logits, torch.randint(n_labels, (64,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weights_and_smoothing_are_torchs(smoothing: float) -> None:
    logits, labels = logits_and_labels()
    weights = [0.5, 1.0, 3.0, 1.5]
    own = cross_entropy(logits, labels, LossOptions(weights, label_smoothing=smoothing))
    log_p = logits.double().log_softmax(-1)
    w = torch.tensor(weights).double()
    by_hand = (1 - smoothing) * w[labels] * -log_p.gather(-1, labels[:, None])[:, 0]
    by_hand += smoothing / 4 * (w * -log_p).sum(-1)
    torch.testing.assert_close(own.double(), by_hand, atol=1e-5, rtol=1e-5)
    upstream = torch.nn.functional.cross_entropy(
        logits, labels, weight=torch.tensor(weights), label_smoothing=smoothing, reduction="sum"
    )
    torch.testing.assert_close(own.sum(), upstream)


def test_focal_loss_is_that_of_the_paper_and_without_gamma_cross_entropy() -> None:
    logits, labels = logits_and_labels()
    p = logits.softmax(-1).gather(-1, labels[:, None])[:, 0]
    for gamma in (0.0, 0.5, 2.0):
        own = cross_entropy(logits, labels, LossOptions(focal_gamma=gamma))
        torch.testing.assert_close(own, -((1 - p) ** gamma) * p.log())
    given = torch.nn.functional.one_hot(labels, 4).float()
    q = torch.where(given == 1, logits.sigmoid(), 1 - logits.sigmoid())
    own = binary_cross_entropy(logits, given, LossOptions(focal_gamma=2.0))
    torch.testing.assert_close(own, -((1 - q) ** 2) * q.log(), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_focal_loss_of_a_certain_row_has_a_gradient(gamma: float) -> None:
    nll = torch.tensor([0.0, 1e-30, 1e-8, 20.0], requires_grad=True)
    (gradient,) = torch.autograd.grad((focal(nll, gamma) * nll).sum(), nll)
    assert bool(gradient.isfinite().all())


def test_balanced_weights_are_scikit_learns() -> None:
    counts = {"a": 9, "b": 1, "c": 5, "never": 0}
    y = [name for name, count in counts.items() for _ in range(count)]
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=y)
    weights = TextClassification().problem().balanced(counts, len(y))
    assert weights == pytest.approx([*expected, 1.0])


def test_balanced_positives_make_both_sides_weigh_the_same() -> None:
    task = TextClassification(problem_type="multi_label_classification")
    weights = task.problem().balanced({"a": 9, "b": 1, "never": 0, "always": 10}, 10)
    assert weights == pytest.approx([1 / 9, 9, 1, 1])


@pytest.mark.parametrize(
    ("weights", "expected"), [("balanced", [7 / 12, 7 / 6, 7 / 3]), ({"storm": 7}, [1, 7, 1])]
)
def test_weights_are_those_of_the_right_labels(weights: Any, expected: list[float]) -> None:
    task = TextClassification(class_weights=weights)
    counts = {"calm": 4, "storm": 2, "fog": 1}
    loss = task.loss_function(labels=counts, n_rows=7, label_smoothing=0)
    assert loss is not None
    outputs = SimpleNamespace(logits=torch.zeros(5, 3))
    for label, weight in enumerate(expected):
        own = loss(outputs, torch.full((5,), label), num_items_in_batch=10)
        assert own.item() == pytest.approx(weight * math.log(3) / 2)


def test_a_weight_for_a_label_that_is_not_there_is_an_error(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    recipe_for("given-weights", tiny_gpt2, tmp_path)
    recipe = load_recipe(tmp_path / "recipe.yaml", ["task.class_weights={strom: 2}"])
    with pytest.raises(RecipeError, match=r"unknown label .strom., did you mean storm\?") as caught:
        set_up(recipe=recipe, placement=CPU)
    assert "task.class_weights" in caught.value.message
