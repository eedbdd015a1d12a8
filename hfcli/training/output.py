"""The output folder: who may write into it, what it holds, and where a run can go on.

A finished folder holds the model, its tokenizer, recipe.yaml (resolved), metrics.jsonl and
result.json; the last is written last. Knows nothing about training.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from hfcli.errors import RunError

RECIPE_FILE = "recipe.yaml"
RESULT_FILE = "result.json"
CHECKPOINT_FILES = ("trainer_state.json", "optimizer.pt", "scheduler.pt")


def claim(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Make `folder` ready to write into.

    Raises:
        RunError: it holds something, and neither `resume` nor `overwrite` was asked for; or
            `overwrite` would delete files that no run of hfcli wrote.
    """
    if folder.is_file():
        raise RunError(f"{folder}: is a file, not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not resume:
        if not overwrite:
            raise RunError(
                f"{folder}: the output folder is not empty",
                hint="--resume goes on from its last checkpoint, --overwrite starts again,"
                " -o FOLDER writes elsewhere",
            )
        if not (folder / RECIPE_FILE).is_file():
            raise RunError(
                f"{folder}: was not written by hfcli finetune (no {RECIPE_FILE}), so --overwrite"
                " will not delete it",
                hint="-o FOLDER writes elsewhere",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole, or None.

    A killed save leaves a folder that lacks files; transformers would resume from it with a fresh
    optimizer and not say so.
    """
    found = []
    for path in folder.glob("checkpoint-*"):
        step = re.fullmatch(r"checkpoint-(\d+)", path.name)
        if step and _is_whole(path):
            found.append((int(step.group(1)), path))
    return max(found)[1] if found else None


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _is_whole(checkpoint: Path) -> bool:
    if not all((checkpoint / name).is_file() for name in CHECKPOINT_FILES):
        return False
    if not any(checkpoint.glob("rng_state*.pth")) or not any(checkpoint.glob("*.safetensors")):
        return False
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return False
    return True
