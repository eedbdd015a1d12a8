"""Folders and dicts as finished runs leave them, made by code for the tests of reports."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

LABELS = ["joy & <b>hope</b>", "anger", "fear of $5 and $6"]
# What a text may do to a page: end a tag, run a script, move a cursor, turn the direction of text.
HOSTILE = "</pre><script>alert(1)</script>\x1b[2J a\u202eb | `c` ![x](http://x.test/y.png)"
RECIPE = """\
task:
  name: text-classification
data:
  train:
  - /somewhere/data/messages.csv
  validation_size: 0.2
seed: 42
output_dir: runs/mine
"""


def finetune_result(**changes: Any) -> dict[str, Any]:
    """What `FinetuneResult.to_dict` gives, with the optional parts."""
    return {
        "task": "text-classification",
        "model": "/home/someone/models/small-bert",
        "revision": None,
        "output_dir": "runs/mine",
        "steps": 400,
        "epochs": 4.0,
        "train_rows": 3200,
        "train_loss": 0.41,
        "metrics": {"loss": 0.52, "accuracy": 0.8725, "f1_macro": 0.86},
        "tokens_seen": 123_456,
        "seconds": 98.7,
        "seed": 42,
        "device": "cpu",
        "bf16": False,
        "try_next": ["hfcli eval {folder}"],
        "notes": ["the model is that of step 300, the best by accuracy"],
        "labels": LABELS,
        "confusion_matrix": [[270, 20, 10], [31, 199, 20], [9, 12, 229]],
        "data": {
            "train": {
                "rows": 3210,
                "kept": 3200,
                "truncated": 41,
                "empty": 10,
                "tokens": 98_304,
                "padding_share": 0.083,
                "label_histogram": {LABELS[0]: 1200, LABELS[1]: 1000, LABELS[2]: 1000},
            },
            "validation": {"rows": 800, "kept": 800, "tokens": 24_576, "padding_share": 0.1},
        },
    } | changes


def finetune_folder(folder: Path, steps: int = 400) -> Path:
    """A folder with the logs of a run of `steps` steps, evaluated every eighth of it."""
    folder.mkdir(parents=True, exist_ok=True)
    random_ = random.Random(0)
    lines: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    every = steps // 8
    for step in range(5, steps + 1, 5):
        done = step / steps
        loss = 0.35 + 1.1 * math.exp(-5 * done) + random_.gauss(0, 0.05)
        lines.append({
            "step": step, "loss": loss, "grad_norm": random_.uniform(0.5, 2), "epoch": 4 * done,
            "learning_rate": 5e-4 * min(done / 0.1, (1 - done) / 0.9 + 1e-9),
            "tokens_per_second": 1234.5,
        })  # fmt: skip
        if step % every == 0:
            accuracy = 0.9 - 0.5 * math.exp(-4 * done)
            lines.append({
                "step": step, "epoch": 4 * done, "eval_loss": 0.5 + math.exp(-6 * done),
                "eval_accuracy": accuracy, "eval_f1_macro": accuracy - 0.02,
                "eval_matthews_correlation": 2 * accuracy - 1, "eval_runtime": 1.5,
                "eval_confusion_matrix": [[1, 0], [0, 1]],
            })  # fmt: skip
            samples += [
                {"step": step, "prompt": "The harbour", "text": f" was quiet at step {step}."},
                {"step": step, "prompt": "Once", "text": HOSTILE},
            ]
    _write_lines(folder / "metrics.jsonl", lines)
    _write_lines(folder / "samples.jsonl", samples)
    return folder


def score(value: float, half: float, method: str = "stratified bootstrap, BCa") -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "method": method}


def eval_report(**changes: Any) -> dict[str, Any]:
    """A report of a classification as `hfcli eval` makes it."""
    return {
        "task": "text-classification",
        "model": "runs/mine",
        "revision": None,
        "weights_sha256": "ab" * 32,
        "data": "dev.tsv",
        "data_sha256": "cd" * 32,
        "split": "test",
        "n_rows": 800,
        "labels": LABELS,
        "metrics": {
            "loss": score(0.4132, 0.03),
            "accuracy": score(0.8725, 0.023, "Wilson"),
            "f1_macro": score(0.8694, 0.024),
            "matthews_correlation": score(0.81, 0.03),
            "auroc": {"value": None, "low": None, "high": None, "method": "undefined"},
            "ece": 0.031,
        },
        "per_class": {
            LABELS[0]: {"precision": 0.871, "recall": 0.9, "f1": 0.885, "support": 300},
            LABELS[1]: {
                "precision": score(0.861, 0.04),
                "recall": score(0.796, 0.05),
                "f1": score(0.827, 0.04),
                "support": 250,
            },
            LABELS[2]: {"precision": 0.884, "recall": 0.916, "f1": 0.9, "support": 250},
        },
        "confusion_matrix": [[270, 20, 10], [31, 199, 20], [9, 12, 229]],
        "reliability": [
            {"confidence": (i + 0.5) / 10, "accuracy": min(1, 0.1 + 0.085 * i), "count": 8 * i * i}
            if i > 2
            else {"confidence": None, "accuracy": None, "count": 0}
            for i in range(10)
        ],
        "settings": {"batch_size": 16, "dtype": "float32", "max_length": None},
        "versions": {"hfcli": "0.2.0", "torch": "2.13.0"},
        "created": "2026-11-24T09:00:00Z",
        "command": "hfcli eval runs/mine --data dev.tsv",
        "seconds": 12.3,
        "notes": ["3 texts were shortened to 128 tokens"],
    } | changes


def predictions(count: int = 200) -> list[dict[str, Any]]:
    """Rows of that evaluation; every fifth is wrong, and one could not be scored."""
    random_ = random.Random(0)
    rows: list[dict[str, Any]] = []
    for i in range(count):
        gold = LABELS[i % 3]
        prediction = LABELS[(i + 1) % 3] if i % 5 == 0 else gold
        sure = random_.uniform(0.5, 0.99)
        probabilities = [sure if name == prediction else (1 - sure) / 2 for name in LABELS]
        rows.append({
            "id": i, "text": f"Message {i} about the harbour. {HOSTILE if i % 25 == 0 else ''}",
            "gold": gold, "prediction": prediction, "probabilities": probabilities,
            "nll": -math.log(probabilities[LABELS.index(gold)]), "error": None,
        })  # fmt: skip
    rows.append({"id": count, "text": "", "gold": LABELS[0], "error": "the text is empty"})
    return rows


def language_report() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A report of a language model, and its rows: documents of different length."""
    report = eval_report(
        task="text-generation",
        labels=None,
        per_class=None,
        confusion_matrix=None,
        reliability=None,
        metrics={
            "loss": score(3.2, 0.1, "block bootstrap over documents"),
            "perplexity": score(24.5, 2.5, "block bootstrap over documents"),
            "bits_per_byte": score(1.12, 0.04, "block bootstrap over documents"),
        },
    )
    texts = [f"Document {i}. {'The lamp was lit. ' * (i * 9)}{HOSTILE}" for i in range(30)]
    rows = [
        {"id": i, "text": text, "nll": len(text) * (0.5 + i % 7 / 10), "error": None}
        for i, text in enumerate(texts)
    ]
    return report, rows


def _write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
