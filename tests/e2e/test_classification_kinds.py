"""Several labels, numbers and pairs through the real commands: finetune, then eval of the run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hfcli.metrics import scalar_metrics
from hfcli.tasks.text_classification import TextClassification
from tests.helpers import hfcli

TEXTS = [f"the {('boat', 'wind', 'lamp')[i % 3]} {i} {'lay still ' * (i % 4)}" for i in range(24)]
SEVERAL = [(["boat"], ["wind", "storm"], [], ["lamp", "boat"])[i % 4] for i in range(24)]
TRAINING = {
    "max_steps": 3, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2,
    "learning_rate": 0.001, "logging_steps": 1,
}  # fmt: skip


def finetuned(folder: Path, model: Path, data: str, task: dict[str, Any]) -> dict[str, Any]:
    """The result of a run whose scores are those that `hfcli eval` gives."""
    recipe = {
        "task": {"name": "text-classification", **task},
        "model": {"name_or_path": str(model)},
        "data": {"train": data, "validation_size": 0.25},
        "training": TRAINING,
        "output_dir": "run",
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    done = hfcli("finetune", folder / "recipe.yaml", "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert json.loads((folder / "run" / "result.json").read_text()).keys() == result.keys()
    again = hfcli("eval", folder / "run", "--json")
    assert again.returncode == 0, again.stderr
    metrics = json.loads(again.stdout)["metrics"]
    shipped = scalar_metrics(TextClassification(**task).metrics())
    assert set(result["metrics"]) == {"loss", *shipped}
    for name, value in result["metrics"].items():
        assert metrics[name] == pytest.approx(value, rel=1e-6, nan_ok=True), name
    return result


def test_several_labels_from_lists(tiny_gpt2: Path, tmp_path: Path) -> None:
    rows = [json.dumps({"text": t, "tags": s}) for t, s in zip(TEXTS, SEVERAL, strict=True)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    task = {
        "label_column": "tags",
        "problem_type": "multi_label_classification",
        "class_weights": "balanced",
    }
    result = finetuned(tmp_path, tiny_gpt2, "rows.jsonl", task)
    assert result["labels"] == ["boat", "lamp", "storm", "wind"]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    assert list(config["id2label"].values()) == result["labels"]
    given = sum(len(data["labels"]) > 0 for data in result["data"].values())
    assert given == 2
    seen = sum(sum(data["labels"].values()) for data in result["data"].values())
    assert seen == sum(map(len, SEVERAL))


def test_numbers_from_csv(tiny_bert: Path, tmp_path: Path) -> None:
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("text", "score"), *((text, len(text) / 10) for text in TEXTS)])
    task = {"label_column": "score", "problem_type": "regression"}
    result = finetuned(tmp_path, tiny_bert, "rows.csv", task)
    assert result["labels"] is None
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["problem_type"] == "regression"
    assert config["id2label"] == {"0": "score"}
    other = hfcli("eval", tmp_path / "run", "--metric", "accuracy")
    assert other.returncode == 3
    assert other.stdout == ""
    assert "metric accuracy is not for labels of this kind" in other.stderr


def test_pairs(tiny_gpt2: Path, tmp_path: Path) -> None:
    rows = [json.dumps({"one": TEXTS[i], "two": TEXTS[-i], "same": i % 3 == 0}) for i in range(24)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    task = {"text_column": "one", "text_pair_column": "two", "label_column": "same"}
    result = finetuned(tmp_path, tiny_gpt2, "rows.jsonl", {**task, "focal_gamma": 1.0})
    assert result["labels"] == ["False", "True"]
