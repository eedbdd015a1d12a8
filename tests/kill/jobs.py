"""Three jobs to be killed: a file of prompts, a training run, an evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import SENTENCES, build_gpt2
from tests.helpers import write_csv

MODEL = "model"  # in the folder that all cases share


@dataclass(frozen=True)
class Job:
    """A command, the one that goes on after a kill, and what they must give.

    Args:
        begin, resume: arguments of hfcli; the current folder is the case's own.
        result: what is compared, of the folder of a case.
    """

    begin: list[str]
    resume: list[str]
    result: Callable[[Path], Mapping[str, Any]]


def build(shared: Path) -> dict[str, Job]:
    """Write model and data, and return the jobs by name."""
    model = build_gpt2(shared / MODEL, n_positions=64)
    prompts = shared / "prompts.jsonl"
    rows = [{"prompt": SENTENCES[i % 4][: 10 + i]} for i in range(12)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = [(SENTENCES[i % 4].replace(",", ""), "ab"[i % 2]) for i in range(24)]
    data = write_csv(shared / "rows.csv", table)
    text = shared / "text.txt"
    text.write_text("\n".join(f"{s} {i}" for i in range(8) for s in SENTENCES) + "\n")
    recipe = shared / "recipe.yaml"
    recipe.write_text(
        "task: {name: text-classification, text_column: text, label_column: label}\n"
        f"model: {{name_or_path: {model}}}\n"
        f"data: {{train: {data}, validation_size: 0.25}}\n"
        "training: {max_steps: 6, save_strategy: steps, save_steps: 2, save_total_limit: 2,\n"
        "  logging_steps: 1, per_device_train_batch_size: 4}\n"
        "output_dir: out\n"
    )
    bulk = [
        "generate", "-i", str(prompts), "-o", "out.jsonl", "--model", str(model), "-n", "2",
        "--max-new-tokens", "4", "--offline",
    ]  # fmt: skip
    train = ["finetune", str(recipe), "-o", "out", "--offline"]
    score = [
        "eval", "--model", str(model), "--data", str(text), "-o", "out", "--batch-size", "2",
        "--offline",
    ]  # fmt: skip
    return {
        "bulk": Job(bulk, bulk, _bulk),
        "training": Job(train, [*train, "--resume"], _training),
        "evaluation": Job(score, score, _evaluation),
    }


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".forked-"))


def _bulk(case: Path) -> dict[str, Any]:
    return {"names": _names(case), "texts": (case / "out.jsonl").read_bytes()}


def _training(case: Path) -> dict[str, Any]:
    run = case / "out"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("tokens_per_second", None)
    return {
        "names": _names(run),
        "weights": (run / "model.safetensors").read_bytes(),
        "last": (run / "checkpoint-6" / "optimizer.pt").is_file(),
        "metrics": lines,
        "scores": json.loads((run / "result.json").read_text())["metrics"],
    }


def _evaluation(case: Path) -> dict[str, Any]:
    report = json.loads((case / "out" / "report.json").read_text())
    return {
        "names": _names(case / "out"),
        "predictions": (case / "out" / "predictions.jsonl").read_bytes(),
        "scores": report["metrics"],
    }
