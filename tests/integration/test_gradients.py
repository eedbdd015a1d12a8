"""Laws of gradients and packing: how rows are divided or put together changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import TrainerCallback

from hfcli.device import Placement
from hfcli.errors import DataError, RecipeError
from hfcli.models.load import LoadedModel, ensure_pad_token, load_model
from hfcli.models.resolve import resolve_model
from hfcli.recipe.load import load_recipe
from hfcli.tasks.base import IGNORE
from hfcli.tasks.packing import Packed, best_fit, check_packing
from hfcli.tasks.text_generation import TextGeneration
from hfcli.training.arguments import arguments_for, training_arguments
from hfcli.training.setup import RunSetup, set_up
from hfcli.training.trainer import make_trainer
from hfcli.training.validation import validation_scores
from tests.conftest import SENTENCES
from tests.helpers import prepared
from tests.integration.test_training import write_recipe

CPU = Placement(torch.device("cpu"))
TASKS: dict[str, dict[str, Any]] = {
    "packed": {"name": "text-generation", "block_size": 40},
    "padded": {"name": "text-generation", "packing": "no"},
    "wrapped": {"name": "text-generation", "block_size": 24, "packing": "wrapped"},
    "classification": {"name": "text-classification"},
}


def gradients(setup: RunSetup, recipe: Any, split: tuple[int, int]) -> list[torch.Tensor]:
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
    make_trainer(recipe=recipe, setup=setup, arguments=arguments, callbacks=[Keep()]).train()
    return steps


@pytest.mark.parametrize("name", TASKS)
def test_gradients_do_not_depend_on_how_a_step_is_divided(
    name: str, tiny_gpt2: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task=TASKS[name])
    still = [
        "training.learning_rate=1e-30", "training.num_train_epochs=1", "training.warmup_steps=0",
        "training.max_grad_norm=0", "training.save_strategy=no",
    ]  # fmt: skip
    recipe = load_recipe(path, still)
    setup = set_up(recipe=recipe, placement=CPU)
    for module in setup.loaded.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    setup.loaded.model.double()  # the sums differ in order, and float32 would show that
    whole = gradients(setup, recipe, (8, 1))
    assert len(setup.train.lengths) % 8, "the last step must be a partial one"
    assert len(whole) > 1
    for split in ((4, 2), (1, 8), (3, 3)):
        divided = gradients(setup, recipe, split)
        if split == (3, 3):  # another division of the rows, to see that the check can fail
            assert not torch.allclose(divided[0], whole[0], atol=1e-6)
            continue
        for one, other in zip(divided, whole, strict=True):
            scale = other.abs().max().item()
            torch.testing.assert_close(one / scale, other / scale, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", TASKS)
def test_the_validation_loss_does_not_depend_on_the_batch(
    name: str, tiny_gpt2: Path, tmp_path: Path
) -> None:
    recipe = load_recipe(write_recipe(tmp_path, tiny_gpt2, task=TASKS[name]))
    setup = set_up(recipe=recipe, placement=CPU)
    losses = [validation_scores(setup, batch_size)["loss"] for batch_size in (1, 3, 8)]
    assert losses[1:] == pytest.approx([losses[0]] * 2, abs=1e-6)


@pytest.fixture(scope="module")
def loaded(tiny_gpt2: Path) -> LoadedModel:
    loaded = load_model(
        source=resolve_model(str(tiny_gpt2)), task=TextGeneration(), dtype=torch.float32,
        placement=CPU,
    )  # fmt: skip
    ensure_pad_token(loaded)
    return loaded


def test_packed_documents_have_the_logits_they_have_alone(loaded: LoadedModel) -> None:
    rows = Dataset.from_dict({"text": [s[: 9 + 5 * i] for i, s in enumerate(SENTENCES * 3)]})
    task = TextGeneration(block_size=60)
    encoded = prepared(task, rows, loaded, train=True)
    features = encoded.features
    assert isinstance(features, Packed)
    assert any(len(row) > 1 for row in features.rows), "nothing is packed"
    batch = task.collate(features[:], int(loaded.tokenizer.pad_token_id))
    batch.pop("labels")
    assert "attention_mask" not in batch
    with torch.inference_mode():
        together = loaded.model(**batch, use_cache=False).logits
        for i, row in enumerate(features.rows):
            start = 0
            for document in row:
                ids = torch.as_tensor(features.documents[document]["input_ids"])[None].long()
                alone = loaded.model(input_ids=ids).logits[0]
                own = together[i, start : start + ids.shape[1]]
                torch.testing.assert_close(own, alone, atol=1e-5, rtol=0)
                start += ids.shape[1]


def test_a_model_that_mixes_packed_documents_is_refused(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_packing(loaded.model)
    forward: Any = loaded.model.forward

    def mixing(input_ids: Any, position_ids: Any = None, **rest: Any) -> Any:
        return forward(input_ids=input_ids, **rest)

    monkeypatch.setattr(loaded.model, "forward", mixing)
    with pytest.raises(RecipeError, match="does not keep packed documents apart"):
        check_packing(loaded.model)


def test_best_fit_packs_every_document_once_and_tightly() -> None:
    lengths = [(i * 37) % 60 + 1 for i in range(200)]
    rows = best_fit(lengths, 64)
    assert sorted(i for row in rows for i in row) == list(range(200))
    assert all(sum(lengths[i] for i in row) <= 64 for row in rows)
    assert len(rows) <= -(-sum(lengths) // 64) * 1.05


@pytest.mark.parametrize(
    ("overflow", "counts"),
    [
        ("split", {"split": 1, "truncated": 0, "dropped": 0, "kept": 3}),
        ("truncate", {"split": 0, "truncated": 1, "dropped": 0, "kept": 3}),
        ("drop", {"split": 0, "truncated": 0, "dropped": 1, "kept": 2}),
    ],
)
def test_every_row_is_accounted_for(
    loaded: LoadedModel, overflow: Any, counts: dict[str, int]
) -> None:
    rows = Dataset.from_dict({"text": ["Bread.", SENTENCES[2] * 4, "", "She asked."]})
    task = TextGeneration(block_size=20)
    encoded = prepared(task, rows, loaded, train=True, on_overflow=overflow)
    told = encoded.counts.to_dict()
    assert {"rows": 4, "empty": 1, **counts}.items() <= told.items()
    assert told["rows"] == told["kept"] + told["empty"] + told["dropped"] + told["unsupervised"]
    learned = [int(i) for f in encoded.features for i in f["labels"] if i != IGNORE]
    assert told["supervised"] == len(learned)


def test_a_long_row_is_an_error_where_that_was_asked_for(loaded: LoadedModel) -> None:
    rows = Dataset.from_dict({"text": [SENTENCES[2] * 4], "__origin__": ["book.jsonl:7"]})
    with pytest.raises(DataError, match=r"book.jsonl:7: has \d+ tokens, a block holds 20"):
        prepared(TextGeneration(block_size=20), rows, loaded, train=True, on_overflow="error")


def test_only_the_completion_is_learned_and_scored(loaded: LoadedModel) -> None:
    rows = Dataset.from_dict({"q": ["The harbour", ""], "a": [" was quiet.", "Bread"]})
    task = TextGeneration(prompt_column="q", completion_column="a", packing="no")
    encoded = prepared(task, rows, loaded, train=True)
    tokenizer = loaded.tokenizer
    for i, answer in enumerate([" was quiet.", "Bread"]):
        parts = task.show(encoded.features[i], tokenizer)
        assert [text for text, learned in parts if learned] == [f"{answer}<|endoftext|>"]
    asked = tokenizer("The harbour")["input_ids"]
    assert list(encoded.features[0]["input_ids"][: len(asked)]) == asked
    scoring = prepared(task, rows, loaded, train=False)
    assert sum(scoring.column("n_bytes")) == len(" was quiet.") + len("Bread")


CHATML = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def test_only_the_assistants_turns_are_learned(loaded: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "chat.jinja").write_text(CHATML)
    messages = [
        {"role": "user", "content": "when?"}, {"role": "assistant", "content": "soon"},
        {"role": "user", "content": "where?"}, {"role": "assistant", "content": "here"},
    ]  # fmt: skip
    rows = Dataset.from_dict({"messages": [messages]})
    template = str(tmp_path / "chat.jinja")
    task = TextGeneration(messages_column="messages", chat_template=template, packing="no")
    task.fit_tokenizer(loaded.tokenizer)
    encoded = prepared(task, rows, loaded, train=True)
    parts = task.show(encoded.features[0], loaded.tokenizer)
    assert parts == [
        ("<user>when?\n<assistant>", False), ("soon\n", True),
        ("<user>where?\n<assistant>", False), ("here\n", True),
    ]  # fmt: skip


def test_a_template_that_rewrites_the_past_is_refused(loaded: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "chat.jinja").write_text("{{ messages|length }}" + CHATML)
    rows = Dataset.from_dict(
        {"messages": [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]]}
    )
    template = str(tmp_path / "chat.jinja")
    task = TextGeneration(messages_column="messages", chat_template=template)
    task.fit_tokenizer(loaded.tokenizer)
    with pytest.raises(DataError, match="changes what stands before"):
        prepared(task, rows, loaded, train=True)
