"""Laws of text classification on tiny models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from hfcli.device import Placement
from hfcli.errors import DataError, ModelError
from hfcli.models.load import LoadedModel, ensure_pad_token, load_model
from hfcli.models.resolve import resolve_model
from hfcli.tasks.scoring import score
from hfcli.tasks.text_classification import TextClassification
from tests.helpers import prepared

TEXTS = [
    "The boats lay still.",
    "Nobody answered, for the wind had taken every word of it.",
    "Bread",
    "In the morning the market opened<|endoftext|>",
    "She asked the keeper when.<|endoftext|><|endoftext|>",
]
TASK = TextClassification()


def rows(texts: list[str], labels: list[Any]) -> Dataset:
    return Dataset.from_dict({"text": texts, "label": labels})


def load(folder: Path, train: Dataset, task: TextClassification = TASK) -> LoadedModel:
    torch.manual_seed(1)
    loaded = load_model(
        source=resolve_model(str(folder)),
        task=task,
        dtype=torch.float32,
        placement=Placement(torch.device("cpu")),
        config_overrides=task.config_overrides(train),
        new_head=True,
    )
    ensure_pad_token(loaded)
    return loaded


def logits(loaded: LoadedModel, texts: list[str]) -> torch.Tensor:
    data = rows(texts, ["b"] * len(texts))
    encoded = prepared(TASK, data, loaded, train=False)
    batch = TASK.collate(encoded.features, int(loaded.tokenizer.pad_token_id))
    batch.pop("labels")
    with torch.inference_mode():
        out: torch.Tensor = loaded.model(**batch).logits
    return out


@pytest.mark.parametrize("model", ["tiny_gpt2", "tiny_bert"])
def test_batch_of_n_equals_batch_of_one(model: str, request: pytest.FixtureRequest) -> None:
    loaded = load(request.getfixturevalue(model), rows(TEXTS, ["a", "b", "c", "a", "b"]))
    together = logits(loaded, TEXTS)
    alone = torch.cat([logits(loaded, [text]) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert together.std() > 1e-3, "logits that are all equal would prove nothing"


def test_the_pad_token_is_no_real_token_and_stands_in_both_configurations(tiny_gpt2: Path) -> None:
    loaded = load(tiny_gpt2, rows(["x", "y"], ["a", "b"]))
    pad = loaded.tokenizer.pad_token_id
    assert pad not in {loaded.tokenizer.eos_token_id, loaded.tokenizer.bos_token_id, None}
    assert loaded.model.config.pad_token_id == pad
    encoded = prepared(TASK, rows(TEXTS, ["a"] * 5), loaded, train=True)
    assert all(pad not in feature["input_ids"] for feature in encoded.features)


def test_a_text_that_ends_in_eos_is_another_text(tiny_gpt2: Path) -> None:
    loaded = load(tiny_gpt2, rows(["x", "y"], ["a", "b"]))
    with_eos, without = logits(loaded, ["Bread<|endoftext|>", "Bread"])
    assert (with_eos - without).abs().max() > 1e-3


def test_loss_does_not_depend_on_the_batch_size(tiny_gpt2: Path) -> None:
    data = rows(TEXTS, ["a", "b", "c", "a", "b"])
    loaded = load(tiny_gpt2, data)
    encoded = prepared(TASK, data, loaded, train=False)
    pad = int(loaded.tokenizer.pad_token_id)
    results = [
        score(task=TASK, model=loaded.model, prepared=encoded, batch_size=n, pad_token_id=pad)
        for n in (1, 3, 8)
    ]
    assert results[0].loss == pytest.approx(results[1].loss, abs=1e-6)
    assert results[0].loss == pytest.approx(results[2].loss, abs=1e-6)
    assert len(results[0].inputs["probabilities"]) == len(TEXTS)
    for other in results[1:]:
        for name in ("predictions", "references"):
            assert other.inputs[name] == results[0].inputs[name]
        pairs = zip(other.inputs["probabilities"], results[0].inputs["probabilities"], strict=True)
        assert all(one == pytest.approx(two, abs=1e-6) for one, two in pairs)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "2", "1"], ["1", "2", "10"]),
        ([10, 2, 1], ["1", "2", "10"]),
        (["no", "yes", "NA"], ["NA", "no", "yes"]),
        ([True, False, True], ["False", "True"]),
    ],
)
def test_labels_are_sorted_and_whole_numbers_by_value(labels: list[Any], names: list[str]) -> None:
    config = TASK.config_overrides(rows(["x"] * len(labels), labels))
    assert list(config["id2label"].items()) == list(enumerate(names))
    assert config["label2id"] == {name: i for i, name in enumerate(names)}
    assert config["num_labels"] == len(names)


def test_a_label_unseen_in_training_names_its_line_and_both_sides(tiny_gpt2: Path) -> None:
    loaded = load(tiny_gpt2, rows(["x", "y"], ["a", "b"]))
    data = rows(["x", "y"], ["a", "z"]).add_column("__origin__", ["dev.csv:2", "dev.csv:3"])
    with pytest.raises(DataError, match=r"dev.csv:3: label\(s\) \['z'\] .* \['a', 'b'\]"):
        prepared(TASK, data, loaded, train=False)


def test_labels_match_by_index_when_all_are_indices(tiny_gpt2: Path) -> None:
    loaded = load(tiny_gpt2, rows(["x", "y"], ["a", "b"]))
    encoded = prepared(TASK, rows(["x", "y"], ["1", "0"]), loaded, train=False)
    assert [feature["labels"] for feature in encoded.features] == [1, 0]


def test_a_language_model_is_not_evaluated_as_a_classifier(tiny_gpt2: Path) -> None:
    with pytest.raises(ModelError, match="no trained classification head"):
        load_model(
            source=resolve_model(str(tiny_gpt2)),
            task=TASK,
            dtype=torch.float32,
            placement=Placement(torch.device("cpu")),
        )
