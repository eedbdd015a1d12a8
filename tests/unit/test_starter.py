"""A recipe made from data loads, agrees with the data, and can be split as it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hfcli.data.inspect_data import inspect_data
from hfcli.data.splits import load_splits
from hfcli.errors import DataError, ModelError
from hfcli.models.inspect_model import inspect_model
from hfcli.models.resolve import BUNDLED_FOLDER
from hfcli.recipe.json_schema import recipe_schema
from hfcli.recipe.load import load_recipe
from hfcli.recipe.schema import Recipe
from hfcli.recipe.starter import write_recipe
from hfcli.recipe.starting_points import ModelFacts, TokenFacts, for_labels, for_texts, held_out
from hfcli.recipe.yaml_file import parse_yaml
from tests.unit.test_inspect_data import READ, Rows, rows, text, write

NASTY = "a\nseed: 1\u2028#\x85'\": {"


def made(folder: Path, data: Rows, model: str = "bundled", **flags: Any) -> Recipe:
    """The recipe for some rows, written and loaded."""
    return load_recipe(
        written(folder, inspect_data(patterns=[write(folder, data)], **flags), model)
    )


def written(folder: Path, facts: Any, model: str = "bundled") -> Path:
    path = folder / "recipe.yaml"
    path.write_text(write_recipe(data=facts, model=inspect_model(model), to=path), encoding="utf-8")
    return path


@pytest.mark.parametrize(("data", "task", "keys"), READ.values(), ids=READ.keys())
def test_the_recipe_says_what_was_found(
    data: Rows, task: Any, keys: dict[str, str], tmp_path: Path
) -> None:
    if not set(keys) <= set(task.model_fields):
        keys = {"text_column": next(iter(data[0]))}
        data, task = [{keys["text_column"]: text(i)} for i in range(12)], task.__base__
    recipe = made(tmp_path, data)
    assert isinstance(recipe.task, task)
    assert {key: getattr(recipe.task, key) for key in keys} == keys
    assert recipe.data.train == [str(tmp_path / "rows.jsonl")]
    assert recipe.output_dir == tmp_path / "runs" / "rows"
    assert recipe.model.name_or_path == "bundled"
    document = parse_yaml((tmp_path / "recipe.yaml").read_text(encoding="utf-8")).data
    jsonschema.Draft202012Validator(recipe_schema()).validate(document)


@pytest.mark.parametrize("count", [6, 7, 9, 12, 25, 100, 250, 2000, 2001])
@pytest.mark.parametrize("labels", [2, 3])
def test_the_validation_data_can_be_held_out(labels: int, count: int, tmp_path: Path) -> None:
    if count // 3 < labels:
        count = 3 * labels
    recipe = made(tmp_path, rows(count, text=text, label=[f"l{i}" for i in range(labels)]))
    splits = load_splits(section=recipe.data, task=recipe.task, seed=recipe.seed).by_name
    assert len(splits["train"]) + len(splits["validation"]) == count
    assert set(splits["train"]["label"]) == set(splits["validation"]["label"])


@pytest.mark.parametrize("count", [1, 2, 99, 100, 300])
def test_texts_are_held_out_too(count: int, tmp_path: Path) -> None:
    recipe = made(tmp_path, rows(count, text=text))
    splits = load_splits(section=recipe.data, task=recipe.task, seed=recipe.seed).by_name
    assert all(len(splits[name]) for name in ("train", "validation"))


def test_a_validation_file_is_taken_and_nothing_held_out(tmp_path: Path) -> None:
    data = rows(text=text, label=["a", "b"])
    files = [write(tmp_path, data, name) for name in ("train.jsonl", "dev.jsonl")]
    recipe = load_recipe(written(tmp_path, inspect_data(patterns=files)))
    assert recipe.data.validation == [files[1]]
    assert "validation_size" not in (tmp_path / "recipe.yaml").read_text(encoding="utf-8")


def test_two_rows_of_each_label_are_enough_and_a_single_row_is_not(tmp_path: Path) -> None:
    data = [{"text": text(i), "label": "ab"[i % 2]} for i in range(4)]
    assert made(tmp_path, data, label_column="label").data.validation_size == 0.5
    one = replace(
        inspect_data(patterns=[write(tmp_path, rows(text=text))]), rows=1, keys={"prompt": "text"}
    )
    with pytest.raises(DataError, match=r"1 row\(s\) are too few"):
        held_out(one)


def test_names_and_labels_cannot_break_out_of_their_place(tmp_path: Path) -> None:
    labels = rows(label=["calm", NASTY])
    data = [{NASTY: text(i), **row, "other\nkey: 1": "x"} for i, row in enumerate(labels)]
    file = Path(write(tmp_path, data))
    file = file.rename(tmp_path / "we: [ird] #name.jsonl")
    facts = inspect_data(patterns=[str(file)], text_column=NASTY, label_column="label")
    recipe = load_recipe(written(tmp_path, facts))
    assert recipe.task.columns() == (NASTY, "label")
    assert recipe.data.train == [str(file)]
    assert recipe.seed == 42
    assert recipe.output_dir == tmp_path / "runs" / "we-ird-name"


def test_paths_are_relative_to_the_recipe_as_they_were_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model_folder(tmp_path / "model")
    write(tmp_path, rows(text=text))
    to = tmp_path / "a" / "b" / "mine.yaml"
    to.parent.mkdir(parents=True)
    to.write_text(
        write_recipe(
            data=inspect_data(patterns=["rows.jsonl"]), model=inspect_model("model"), to=to
        )
    )
    recipe = load_recipe(to)
    assert recipe.data.train == [str(tmp_path / "rows.jsonl")]
    assert recipe.model.name_or_path == str(tmp_path / "model")
    assert recipe.output_dir == to.parent / "runs" / "mine"
    assert "train: ../../rows.jsonl" in to.read_text(encoding="utf-8")


def test_lengths_are_those_of_the_model_s_tokenizer(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    data = rows(300, text=lambda i: "boat " * (i + 1), label=["a", "b"])
    recipe = made(tmp_path, data)
    tokenizer = Tokenizer.from_file(str(BUNDLED_FOLDER / "tokenizer.json"))
    lengths = sorted(len(tokenizer.encode(row["text"]).ids) for row in data)
    comments = (tmp_path / "recipe.yaml").read_text(encoding="utf-8")
    assert f"median {lengths[150]:,}, 99 of 100 up to " in comments
    assert f"longest {lengths[-1]:,}." in comments
    assert f"About {sum(lengths):,} tokens, as the tokenizer of bundled counts." in comments
    assert recipe.task.model_dump()["max_length"] == 512 >= lengths[-1]
    assert "# nothing is cut" in comments


def facts(context: int | None = None, width: int | None = None) -> ModelFacts:
    return ModelFacts("m", False, context, width, "m", lambda texts: [1] * len(texts))


def test_an_input_is_as_long_as_the_data_and_never_longer_than_the_model() -> None:
    def max_length(most: int, longest: int, context: int | None) -> tuple[int, str]:
        tokens = TokenFacts(5, most, longest, 1000)
        key, value, comment = for_labels({"a": 9, "b": 9}, 18, tokens, facts(context))[0]
        assert key == "max_length"
        return value, comment

    assert max_length(40, 60, 512) == (64, "nothing is cut")
    assert max_length(40, 900, 2048) == (64, "longer texts are cut")
    assert max_length(400, 500, 64) == (64, "longer texts are cut")
    assert max_length(900, 1000, None) == (512, "longer texts are cut")


def test_a_block_fits_the_model_and_leaves_steps_to_make() -> None:
    for total in (50, 1000, 20_000, 10**7):
        for context in (32, 64, 1024):
            block, training = for_texts(None, total, TokenFacts(9, 9, 9, total), facts(context))
            values = {key: value for key, value, _ in training}
            assert 32 <= block[1] <= context
            assert values["per_device_train_batch_size"] * block[1] <= max(2048, total / 10)


@pytest.mark.parametrize(
    ("longest", "context", "block", "about"),
    [
        (300, 1024, 512, "the longest row fits"),
        (256, 1024, 512, "the longest row fits"),  # and EOS with it
        (9, 1024, 64, "the longest row fits"),
        (300, 128, 128, "longer rows do not fit"),
    ],
)
def test_a_row_that_must_fit_fits_or_the_recipe_says_so(
    longest: int, context: int, block: int, about: str
) -> None:
    tokens = TokenFacts(9, 9, longest, 1000)
    entry, training = for_texts(100, 1000, tokens, facts(context))
    assert entry == ("block_size", block, about)
    batch = {key: value for key, value, _ in training}["per_device_train_batch_size"]
    assert batch <= 100 / 10


def test_uneven_labels_are_not_judged_by_accuracy(tmp_path: Path) -> None:
    even = made(tmp_path, rows(40, text=text, label=["a", "b"]))
    uneven = made(tmp_path, rows(40, text=text, label=["a", "a", "a", "a", "b"]))
    assert even.training.metric_for_best_model == "accuracy"
    assert uneven.training.metric_for_best_model == "f1_macro"


def test_wider_models_learn_at_lower_rates(tmp_path: Path) -> None:
    rates = []
    for width in (256, 384, 768, 2048):
        folder = model_folder(tmp_path / str(width), hidden_size=width)
        assert inspect_model(str(folder)).width == width
        rates.append(made(tmp_path, rows(text=text), model=str(folder)).training.learning_rate)
    assert rates == [5e-4, 1e-4, 5e-5, 2e-5]


def model_folder(folder: Path, **config: Any) -> Path:
    """The small files of a BERT of 64 positions, whose tokenizer adds two tokens to a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder.mkdir()
    words = ["[UNK]", "[CLS]", "[SEP]", "the", "wind"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.enable_truncation(3)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 62}))
    values = {"hidden_size": 32, "max_position_embeddings": 64, **config}
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_a_model_is_looked_at_without_loading_it(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "bert")
    bundled, bert, unknown = (
        inspect_model("bundled"),
        inspect_model(str(folder)),
        inspect_model("some/model"),
    )
    assert (bundled.context, bundled.width, bundled.is_local) == (512, 256, False)
    assert (bert.context, bert.width, bert.is_local) == (62, 32, True)
    assert bert.count_tokens(["the wind the wind", ""]) == [6, 2]
    assert (unknown.context, unknown.width, unknown.tokenizer) == (None, None, "bundled")
    (tmp_path / "adapter").mkdir()
    adapter = {"base_model_name_or_path": str(folder)}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(adapter))
    assert replace(
        inspect_model(str(tmp_path / "adapter")), count_tokens=bert.count_tokens
    ) == replace(bert, name=str(tmp_path / "adapter"), count_tokens=bert.count_tokens)


def test_what_is_no_model_is_a_known_error(tmp_path: Path) -> None:
    for name in ("./nowhere", str(tmp_path)):
        with pytest.raises(ModelError):
            inspect_model(name)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        inspect_model(str(tmp_path))
