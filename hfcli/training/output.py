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


def check(folder: Path, *, resume: bool, overwrite: bool, mark: str = RECIPE_FILE) -> None:
    """Refuse a folder that must not be written into. Changes nothing.

    Args:
        folder: where the run goes.
        resume: what is there goes on.
        overwrite: what is there may be deleted.
        mark: the file by which hfcli knows a folder of its own.

    Raises:
        RunError: it holds something, and neither `resume` nor `overwrite` was asked for; or
            `overwrite` would delete files that no run of hfcli wrote.
    """
    if folder.is_file():
        raise RunError(f"{folder}: is a file, not a folder")
    if resume or not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise RunError(
            f"{folder}: the output folder is not empty",
            hint="--resume goes on from its last checkpoint, --overwrite starts again,"
            " -o FOLDER writes elsewhere",
        )
    if not (folder / mark).is_file():
        raise RunError(
            f"{folder}: was not written by hfcli finetune (no {mark}), so --overwrite"
            " will not delete it",
            hint="-o FOLDER writes elsewhere",
        )


def claim(folder: Path, *, resume: bool, overwrite: bool, mark: str = RECIPE_FILE) -> None:
    """Make `folder` ready to write into: an earlier run in it is deleted, or goes on.

    Raises:
        RunError: as `check`.
    """
    check(folder, resume=resume, overwrite=overwrite, mark=mark)
    if folder.is_dir() and not resume:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
