"""Laws of pairs of texts, of several labels, and of numbers, on tiny models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from hfcli.errors import DataError, ModelError, RecipeError
from hfcli.models.load import LoadedModel
from hfcli.tasks.scoring import score
from hfcli.tasks.text_classification import TextClassification
from tests.helpers import prepared
from tests.integration.test_classification import load

PAIRS = [
    ("the boats lay still", "nobody answered"),
    ("bread", "in the morning the market opened and bread was sold ."),
    ("she asked the keeper when the lamp would be lit . " * 2, "the wind"),
    ("the harbour was quiet", "the harbour was quiet"),
]
PAIR = TextClassification(text_pair_column="other")
SEVERAL = TextClassification(problem_type="multi_label_classification")
NUMBER = TextClassification(problem_type="regression")
MODELS = ("tiny_gpt2", "tiny_bert")


def pairs(rows: list[tuple[str, str]]) -> Dataset:
    texts, others = zip(*rows, strict=True)
    labels = (["a", "b"] * len(rows))[: len(rows)]
    return Dataset.from_dict({"text": texts, "other": others, "label": labels})


@pytest.fixture(params=MODELS)
def folder(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def logits(loaded: LoadedModel, rows: list[tuple[str, str]]) -> torch.Tensor:
    encoded = prepared(PAIR, pairs(rows), loaded, train=False)
    batch = PAIR.collate(encoded.features[:], int(loaded.tokenizer.pad_token_id))
    batch.pop("labels")
    with torch.inference_mode():
        out: torch.Tensor = loaded.model(**batch).logits
    return out


def test_pairs_have_the_same_logits_in_a_batch_and_alone(folder: Path) -> None:
    loaded = load(folder, pairs(PAIRS), PAIR)
    together = logits(loaded, PAIRS)
    alone = torch.cat([logits(loaded, [pair]) for pair in PAIRS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert together.std() > 1e-3, "logits that are all equal would prove nothing"


def test_a_model_sees_where_the_second_text_begins(folder: Path) -> None:
    loaded = load(folder, pairs(PAIRS), PAIR)
    one, other = logits(loaded, [("the boats lay", "still"), ("the boats", "lay still")])
    assert (one - other).abs().max() > 1e-5


def test_bert_gets_pairs_as_its_tokenizer_encodes_them(tiny_bert: Path) -> None:
    loaded = load(tiny_bert, pairs(PAIRS), PAIR)
    encoded = prepared(PAIR, pairs(PAIRS), loaded, train=True)
    for feature, (text, other) in zip(encoded.features[:], PAIRS, strict=True):
        expected = loaded.tokenizer(text, other)
        assert list(feature["input_ids"]) == expected["input_ids"]
        assert list(feature["token_type_ids"]) == expected["token_type_ids"]
        assert 1 in feature["token_type_ids"]


def test_gpt2_gets_eos_between_the_texts_in_training_and_in_scoring(tiny_gpt2: Path) -> None:
    loaded = load(tiny_gpt2, pairs(PAIRS), PAIR)
    for train in (True, False):
        encoded = prepared(PAIR, pairs(PAIRS), loaded, train=train)
        for feature, (text, other) in zip(encoded.features[:], PAIRS, strict=True):
            as_one_text = loaded.tokenizer(f"{text}<|endoftext|>{other}")["input_ids"]
            assert list(feature["input_ids"]) == as_one_text


@pytest.mark.parametrize("overflow", ["truncate", "drop"])
def test_every_pair_is_accounted_for(folder: Path, overflow: Any) -> None:
    loaded = load(folder, pairs(PAIRS), PAIR)
    whole = prepared(PAIR, pairs(PAIRS), loaded, train=True)
    limit = sorted(whole.lengths)[1]
    task = TextClassification(text_pair_column="other", max_length=limit)
    cut = prepared(task, pairs(PAIRS), loaded, train=True, on_overflow=overflow)
    long = [length for length in whole.lengths if length > limit]
    assert len(long) == 2
    counts = cut.counts
    assert counts.longest == max(whole.lengths)
    assert counts.tokens == sum(cut.lengths)
    assert counts.rows == counts.kept + counts.dropped == len(PAIRS)
    assert sum(counts.labels.values()) == counts.supervised == counts.kept == len(cut.features)
    if overflow == "drop":
        assert counts.dropped == len(long)
        assert max(cut.lengths) <= limit
    else:
        assert (counts.truncated, counts.dropped) == (len(long), 0)
        assert counts.cut_tokens == sum(long) - limit * len(long)
        assert sorted(cut.lengths) == sorted(min(length, limit) for length in whole.lengths)
    backend: Any = loaded.tokenizer
    assert backend.backend_tokenizer.truncation is None, "it would be saved so"


def test_a_cut_pair_keeps_both_texts_and_what_stands_between(folder: Path) -> None:
    task = TextClassification(text_pair_column="other", max_length=10)
    loaded = load(folder, pairs(PAIRS), task)
    (feature,) = prepared(task, pairs(PAIRS[2:3]), loaded, train=True).features[:]
    ids = list(feature["input_ids"])
    between = loaded.tokenizer.sep_token_id or loaded.tokenizer.eos_token_id
    at = ids.index(between)
    rest = [i for i in ids[at + 1 :] if i != between]
    assert rest == loaded.tokenizer(PAIRS[2][1], add_special_tokens=False)["input_ids"][: len(rest)]
    assert len(ids) == 10
    assert rest


def test_a_long_pair_is_an_error_where_that_was_asked_for(folder: Path) -> None:
    task = TextClassification(text_pair_column="other", max_length=12)
    loaded = load(folder, pairs(PAIRS), task)
    with pytest.raises(DataError, match=r"row \d: has \d+ tokens, the limit is 12"):
        prepared(task, pairs(PAIRS), loaded, train=True, on_overflow="error")


def test_a_length_without_room_for_text_is_refused(tiny_bert: Path) -> None:
    task = TextClassification(text_pair_column="other", max_length=4)
    loaded = load(tiny_bert, pairs(PAIRS), task)
    with pytest.raises(RecipeError, match="leaves no room for text beside 3 special"):
        prepared(task, pairs(PAIRS), loaded, train=True)


def scored(task: TextClassification, data: Dataset, loaded: LoadedModel) -> Any:
    encoded = prepared(task, data, loaded, train=False)
    pad = int(loaded.tokenizer.pad_token_id)
    scores = score(task=task, model=loaded.model, prepared=encoded, batch_size=2, pad_token_id=pad)
    batch = task.collate(encoded.features[:], pad)
    with torch.inference_mode():
        return scores, loaded.model(**batch)


def test_one_label_is_scored_with_its_probability(folder: Path) -> None:
    data = pairs(PAIRS)
    loaded = load(folder, data, PAIR)
    scores, out = scored(PAIR, data, loaded)
    assert scores.loss == pytest.approx(out.loss.item(), rel=1e-5)
    assert scores.labels == ["a", "b"]
    assert scores.inputs["references"] == [0, 1, 0, 1]
    assert scores.inputs["predictions"] == out.logits.argmax(-1).tolist()
    probabilities = torch.tensor(scores.inputs["probabilities"])
    torch.testing.assert_close(probabilities, out.logits.softmax(-1), atol=1e-6, rtol=0)


def test_several_labels_are_scored_each_by_itself(folder: Path) -> None:
    cells = [["b"], [], ["a", "c"], ["c"]]
    data = Dataset.from_dict({"text": [text for text, _ in PAIRS], "label": cells})
    loaded = load(folder, data, SEVERAL)
    assert loaded.model.config.problem_type == "multi_label_classification"
    scores, out = scored(SEVERAL, data, loaded)
    assert scores.loss == pytest.approx(out.loss.item(), rel=1e-5)
    assert scores.labels == ["a", "b", "c"]
    assert scores.inputs["references"] == [[0, 1, 0], [0, 0, 0], [1, 0, 1], [0, 0, 1]]
    assert scores.inputs["predictions"] == (out.logits > 0).int().tolist()
    probabilities = torch.tensor(scores.inputs["probabilities"])
    torch.testing.assert_close(probabilities, out.logits.sigmoid(), atol=1e-6, rtol=0)


def test_numbers_are_scored_as_they_are(folder: Path) -> None:
    values = [0.1, -100.0, 3.0, 1e-3]
    data = Dataset.from_dict({"text": [text for text, _ in PAIRS], "label": values})
    loaded = load(folder, data, NUMBER)
    assert loaded.model.config.problem_type == "regression"
    assert loaded.model.config.num_labels == 1
    scores, out = scored(NUMBER, data, loaded)
    assert scores.inputs["references"] == values
    assert scores.inputs["predictions"] == pytest.approx(out.logits[:, 0].tolist(), abs=1e-5)
    assert scores.loss == pytest.approx(out.loss.item(), rel=1e-5)
    assert scores.labels is None


def test_examples_show_label_names(tiny_gpt2: Path) -> None:
    texts = [text for text, _ in PAIRS]
    columns = {
        PAIR: (["x", "y", "x", "y"], "y"),
        SEVERAL: ([["x"], ["y", "x"], [], ["x"]], "x, y"),
        NUMBER: ([1, 2.5, 3, 4], "2.5"),
    }
    for task, (cells, shown) in columns.items():
        data = Dataset.from_dict({"text": texts, "other": texts, "label": cells})
        loaded = load(tiny_gpt2, data, task)
        feature = prepared(task, data, loaded, train=True).features[1]
        text, label = task.show(feature, loaded.tokenizer)
        assert text[0].startswith("bread")
        assert label == (shown, True)


def test_a_model_is_not_read_as_what_it_was_not_trained_for(tiny_gpt2: Path) -> None:
    data = Dataset.from_dict({"text": ["a", "b"], "label": ["1", "2"]})
    loaded = load(tiny_gpt2, data, NUMBER)
    for task in (TextClassification(), SEVERAL):
        with pytest.raises(ModelError, match="trained for regression") as caught:
            prepared(task, data, loaded, train=False)
        assert caught.value.hint == "set task.problem_type to regression"
    loaded.model.config.problem_type = None  # as models of the Hub often have it
    with pytest.raises(ModelError, match="trained for regression"):
        prepared(TextClassification(), data, loaded, train=False)


def test_a_tokenizer_from_scratch_learns_from_both_texts() -> None:
    assert list(PAIR.texts(pairs(PAIRS[:2]))) == [
        PAIRS[0][0], PAIRS[1][0], PAIRS[0][1], PAIRS[1][1],
    ]  # fmt: skip
