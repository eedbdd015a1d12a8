"""The output folder: who may write into it, what it holds, and where a run can go on.

A finished folder holds the model, its tokenizer, recipe.yaml (resolved), metrics.jsonl and
result.json; the last is written last. Knows nothing about training.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hfcli.errors import RunError

RECIPE_FILE = "recipe.yaml"
RESULT_FILE = "result.json"


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


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
