"""Finetuning GPT-2 small: sentences as long as SST-2's, and blocks of 512 tokens.

Seconds are those between two log lines, with every step logged: what is before the first step, and
the first shapes a library sees, count on no side. Dropout and the order of rows differ, so losses
are compared as means; classifiers hardly move, since random weights start with a leap of the loss.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Context, Outcome, Side
from benchmarks.made import (
    CLASSIFIER,
    LANGUAGE_MODEL,
    book,
    gpt2_small,
    gpt2_small_classifier,
    sst2_like,
)
from benchmarks.processes import Finished, SideError, hfcli, plain

BATCH = 16
BLOCK_BATCH = 4
STEP = {"hfcli": "step ", "plain": "{'loss'"}  # how the lines of a step begin
CLASSIFICATION = """\
task: {{name: text-classification, max_length: 128}}
model: {{name_or_path: {model}}}
data: {{train: {data}, validation: {held}}}
training: {{num_train_epochs: 2, learning_rate: 1e-6, per_device_train_batch_size: {batch},
  logging_steps: 1, eval_strategy: "no", save_strategy: "no"}}
device: cpu
"""
BLOCKS = """\
task: {{name: text-generation, block_size: 512}}
model: {{name_or_path: {model}}}
data: {{train: {data}, validation: {held}}}
training: {{max_steps: {steps}, per_device_train_batch_size: {batch}, logging_steps: 1,
  eval_strategy: "no", save_strategy: "no"}}
device: cpu
"""


def cases(context: Context) -> list[Case]:
    """The rows of the table about training."""
    return [
        _classification(
            context, "classify-padded", "classify_padded.py", 1 if context.quick else 8,
            "Trainer, padding=max_length 128, defaults", at_least=10, aim=25,
        ),
        _classification(
            context, "classify-by-hand", "classify_by_hand.py", 2 if context.quick else 12,
            "Trainer, dynamic padding, length grouping, bf16 by hand", at_least=1.2, aim=2,
        ),
        _blocks(context, 2 if context.quick else 3),
    ]  # fmt: skip


def _classification(
    context: Context,
    name: str,
    script: str,
    steps: int,
    against: str,
    *,
    at_least: float,
    aim: float,
) -> Case:
    """Two epochs of so many steps; the second one counts."""
    model = context.work / CLASSIFIER
    data, held = (context.work / f"sst2-{n}.csv" for n in (BATCH * steps, "held"))

    def prepare() -> None:
        gpt2_small_classifier(context.work)
        sst2_like(data, BATCH * steps)
        sst2_like(held, BATCH, seed=1)

    def ours(folder: Path) -> list[str]:
        return finetune(folder, CLASSIFICATION, model=model, data=data, held=held, batch=BATCH)

    def theirs(folder: Path) -> list[str]:
        return plain(script, str(model), str(data), str(folder / "out"), str(BATCH))

    measure = functools.partial(_outcome, after=steps, batch=BATCH)
    return Case(
        name=name,
        title=f"finetune, classification, SST-2 lengths, batch {BATCH}, {steps} steps",
        against=against,
        ours=Side("hfcli", ours, measure),
        plain=Side("plain", theirs, measure),
        script=script,
        at_least=at_least,
        aim=aim,
        equal={"rows": 0, "tokens": 0, "batch": 0, "steps": 0, "loss": 0.1},
        prepare=prepare,
    )


def _blocks(context: Context, steps: int) -> Case:
    model = context.work / LANGUAGE_MODEL
    data, held = context.work / "book.txt", context.work / "book-held.txt"

    def prepare() -> None:
        gpt2_small(context.work)
        book(data, 50_000)
        book(held, 100, seed=1)

    def ours(folder: Path) -> list[str]:
        named = {"model": model, "data": data, "held": held, "batch": BLOCK_BATCH}
        return finetune(folder, BLOCKS, **named, steps=steps)

    def theirs(folder: Path) -> list[str]:
        output = str(folder / "out")
        return plain("clm_blocks.py", str(model), str(data), output, str(BLOCK_BATCH), str(steps))

    measure = functools.partial(_outcome, after=1, batch=BLOCK_BATCH)
    return Case(
        name="clm-blocks",
        title=f"finetune, causal LM, block 512, batch {BLOCK_BATCH}, {steps - 1} steps",
        against="run_clm's recipe: concatenated and chopped, fp32",
        ours=Side("hfcli", ours, measure),
        plain=Side("plain", theirs, measure),
        script="clm_blocks.py",
        at_least=3,
        aim=5,
        # hfcli's rows begin and end with the document's own tokens; the last may be shorter.
        equal={"rows": 0, "tokens": 0.02, "batch": 0, "steps": 0, "loss": 0.01},
        prepare=prepare,
    )


def finetune(folder: Path, recipe: str, **named: Any) -> list[str]:
    """The command that tunes as a recipe says, once its names are filled in."""
    path = folder / "recipe.yaml"
    path.write_text(recipe.format(**named), encoding="utf-8")
    return hfcli("finetune", str(path), "-o", str(folder / "out"), "--json")


def _outcome(finished: Finished, *, after: int, batch: int) -> Outcome:
    """Seconds from the log line of step `after` to the last, and what all steps did."""
    told = _told(finished)
    name = "hfcli" if "tokens_seen" in told else "plain"
    steps = [line.seconds for line in finished.lines if line.text.startswith(STEP[name])]
    if len(steps) != told["steps"]:
        raise SideError(f"{len(steps)} steps were logged, {told['steps']} were done")
    work = told if name == "plain" else _ours(finished.folder / "out", told, batch)
    return Outcome(steps[-1] - steps[after - 1], work)


def _told(finished: Finished) -> dict[str, Any]:
    """The JSON object that stdout ends with."""
    text = finished.stdout()
    found: dict[str, Any] = json.loads(
        text[text.rindex("\n{", 0, -1) + 1 :] if "\n{" in text else text
    )
    return found


def _ours(folder: Path, told: dict[str, Any], batch: int) -> dict[str, Any]:
    logged = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in logged]
    return {
        "rows": told["steps"] * batch,
        "tokens": told["tokens_seen"],
        "batch": batch,
        "steps": told["steps"],
        "loss": sum(losses) / len(losses),
    }
