"""The cache of encoded rows: what hits, what misses, and that a plan tells the truth."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.data import cache
from hfcli.data.splits import load_splits
from hfcli.device import Placement
from hfcli.errors import DataError
from hfcli.recipe.load import load_recipe
from hfcli.tasks.text_generation import TextGeneration
from hfcli.training.plan import plan
from hfcli.training.setup import RunSetup, set_up
from tests.integration.test_training import ROWS, run, write_recipe

TASK = {"name": "text-generation", "block_size": 40}
# Override -> whether the rows are found.
CHANGES = {
    "training.learning_rate=1e-2": True,
    "training.num_train_epochs=1": True,
    "output_dir=elsewhere": True,
    "task.block_size=39": False,
    "task.packing=wrapped": False,
    "data.on_overflow=truncate": False,
    "data.validation_size=0.3": False,
    "data.max_samples=30": False,
    "seed=7": False,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFCLI_CACHE", str(tmp_path / "cache"))


def setup_of(path: Path, *overrides: str) -> RunSetup:
    return set_up(recipe=load_recipe(path, overrides), placement=Placement(torch.device("cpu")))


def test_what_rows_depend_on_misses_and_everything_else_hits(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task=TASK)
    first = setup_of(path)
    assert not first.cached
    assert setup_of(path).cached
    assert CHANGES
    for change, hits in CHANGES.items():
        assert setup_of(path, change).cached is hits, change


def test_found_rows_equal_made_ones_and_nothing_is_read_or_encoded(
    tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task={"name": "text-classification"})
    made = setup_of(path)
    for module in ("hfcli.training.setup.load_splits", "hfcli.tasks.documents.PlainText.documents"):
        monkeypatch.setattr(module, lambda *_a, **_k: pytest.fail("it was read again"))
    found = setup_of(path)
    assert found.cached
    assert found.train.counts == made.train.counts
    assert found.train.labels == made.train.labels == ["calm", "storm"]
    assert found.loaded.model.config.id2label == made.loaded.model.config.id2label
    for one, other in zip(found.train.features, made.train.features, strict=True):
        assert {k: str(v) for k, v in one.items()} == {k: str(v) for k, v in other.items()}


def test_hub_rows_of_a_commit_are_not_fetched_again_and_those_of_a_branch_are(
    tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task=TASK)
    rows = load_splits(
        section=load_recipe(path).data, task=TextGeneration(block_size=40), seed=42
    )  # fmt: skip
    fetched: list[str | None] = []

    def load(section: Any, **_rest: Any) -> Any:
        fetched.append(section.revision)
        return rows

    monkeypatch.setattr("hfcli.training.setup.load_splits", load)
    hub = ["data.path=owner/name", "data.train=train", "data.streaming=true"]
    first, second = "0" * 40, "1" * 40
    for revision in (first, first, second, "main", "main"):
        setup_of(path, *hub, f"data.revision='{revision}'")
    assert fetched == [first, second, "main", "main"]
    setup_of(path, *hub, f"data.revision='{first}'", "data.train=other")
    assert fetched[4:] == [first], "another split is other rows"


def test_another_byte_in_the_data_misses_whatever_the_clock_says(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task=TASK)
    setup_of(path)
    rows = tmp_path / "rows.jsonl"
    before = rows.stat()
    rows.write_text(rows.read_text().replace("boats", "goats"))
    os.utime(rows, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert rows.stat().st_size == before.st_size
    assert not setup_of(path).cached


def test_another_tokenizer_at_the_same_place_misses(
    tiny_gpt2: Path, tiny_gpt2_long: Path, tmp_path: Path
) -> None:
    import shutil

    model = tmp_path / "model"
    shutil.copytree(tiny_gpt2, model)
    path = write_recipe(tmp_path, model, task=TASK)
    setup_of(path)
    tokenizer = model / "tokenizer.json"
    told = json.loads(tokenizer.read_text())
    told["model"]["merges"].pop()
    tokenizer.write_text(json.dumps(told))
    assert not setup_of(path).cached


def test_another_chat_template_at_the_same_place_misses(tiny_gpt2: Path, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "when?"}, {"role": "assistant", "content": "soon"}]
    path = write_recipe(tmp_path, tiny_gpt2, task={
        "name": "text-generation", "messages_column": "turns", "chat_template": "chat.jinja",
    })  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("\n".join([json.dumps({"turns": turns})] * 12))
    template = tmp_path / "chat.jinja"  # relative to the recipe, as every path in it
    template.write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    first = setup_of(path)
    assert setup_of(path).cached
    template.write_text("{% for m in messages %}<{{ m['content'] }}>{% endfor %}")
    other = setup_of(path)
    assert not other.cached
    assert other.train.counts.tokens > first.train.counts.tokens


def test_a_cache_that_was_cut_off_is_made_again(tiny_gpt2: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task=TASK)
    made = setup_of(path)
    for counts in cache.cache_folder().glob("*/*/counts.json"):
        counts.unlink()  # it is written last
    again = setup_of(path)
    assert not again.cached
    assert again.train.counts == made.train.counts


def test_no_cache_where_none_is_wanted(tiny_gpt2: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task=TASK, data={"cache": False})
    setup_of(path)
    assert not setup_of(path).cached
    assert not cache.cache_folder().exists()


def test_a_run_that_would_lose_too_much_stops(tiny_gpt2: Path, tmp_path: Path) -> None:
    data: dict[str, Any] = {"on_overflow": "drop"}
    path = write_recipe(tmp_path, tiny_gpt2, task={**TASK, "block_size": 48}, data=data)
    with pytest.raises(DataError, match=r"rows are lost .* than data.max_dropped allows"):
        setup_of(path)
    setup_of(path, "data.max_dropped=0.99")


def test_a_run_with_nothing_left_to_learn_stops(tiny_gpt2: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task=TASK)
    lines = [json.dumps({"q": text * 3, "a": label}) for text, label in ROWS]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    columns = ["task.prompt_column=q", "task.completion_column=a"]
    with pytest.raises(DataError, match="held nothing to learn from"):
        setup_of(path, *columns, "data.on_overflow=truncate")


def test_the_plan_is_that_of_the_run(tiny_gpt2: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, tiny_gpt2, task=TASK)
    told = plan(recipe=load_recipe(path), listener=lambda _event: None)
    result = json.loads((run(path) / "result.json").read_text())
    assert told.steps == result["steps"]
    assert told.train_rows == result["train_rows"]
    assert told.data == result["data"]
    assert told.tokens_per_epoch * 3 == result["tokens_seen"]
    assert told.trained_parameters == told.parameters > 0
    assert 0 <= told.padding_share < 0.3
    assert told.seconds > 0
    assert len(told.examples) == 3
    learned = [text for text, own in told.examples[0].parts if own]
    assert learned
    assert isinstance(load_recipe(path).task, TextGeneration)
