"""The benchmark of one step's parts: what is run, and which seconds count."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks import step
from benchmarks.made import LABELS
from benchmarks.processes import Finished, Line
from hfcli.recipe.load import load_recipe


def test_seconds_are_those_between_the_steps_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [Line(at, "stderr", f"step {at}") for at in (5.0, 9.0, 10.0, 10.5, 10.75)]
    lines += [Line(12.0, "stderr", "saved")]
    monkeypatch.setattr(step, "run", lambda _, folder: Finished(13.0, tuple(lines), None, folder))
    # Five ends are four times; the first three steps warm up, and the first has no beginning.
    assert step.measure(lambda folder, plain: [], ()) == [0.5, 0.25]


@pytest.mark.parametrize("work", step.WORK)
def test_every_variant_is_a_recipe_that_leaves_its_parts_plain(
    work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gpt2_small", "book", "sst2_like", "sentences"):
        monkeypatch.setattr(step, name, lambda *_, **__: tmp_path / "rows.csv")
    command = step.WORK[work](tmp_path)
    parts = step.parts()
    assert len(parts) > 1
    for plain in ((), *((part,) for part in parts), parts):
        *_, override = command(tmp_path, plain)
        recipe = load_recipe(tmp_path / "recipe.yaml", [override])
        assert tuple(recipe.training.disable_optimizations) == plain


def test_sentences_are_of_one_length_and_all_different(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    monkeypatch.setattr(step, "gpt2_small_classifier", lambda _: tmp_path)
    with step.sentences(tmp_path, 6).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {len(row["text"].split()) for row in rows} == {step.TOKENS}
    assert len({row["text"] for row in rows}) == 6
    assert {row["label"] for row in rows} == set(LABELS)
