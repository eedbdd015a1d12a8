"""run.json: everything a run depends on, written before its first step.

`hfcli finetune run.json` reads the recipe back from it. Knows nothing about training.
"""

from __future__ import annotations

import glob
import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import hfcli
from hfcli import files
from hfcli.data.inputs import Unchanged, hashes_by_split, inputs_of
from hfcli.data.splits import SPLIT_NAMES
from hfcli.errors import RunError
from hfcli.models.load import LoadedModel
from hfcli.recipe.renamed import rename_optimizations
from hfcli.recipe.schema import Recipe
from hfcli.runfolder.names import RUN_FILE

SECTIONS = ("task", "model", "data", "training", "generation", "evaluation")
PACKAGES = (
    "torch", "transformers", "datasets", "accelerate", "peft", "tokenizers", "safetensors", "numpy",
)  # fmt: skip
# What may change when a run goes on: how long it is, where it is, and what is told about it.
SAFE = {
    ("output_dir",), ("device",), ("evaluation",), ("generation",), ("data", "cache"),
    *(("training", name) for name in (
        "num_train_epochs", "max_steps", "logging_steps", "per_device_eval_batch_size",
        "eval_strategy", "eval_steps", "save_strategy", "save_steps", "save_total_limit",
        "sample_prompts", "save_dtype", "early_stopping_patience", "early_stopping_threshold",
    )),
    ("training", "extra", "report_to"), ("training", "extra", "run_name"),
}  # fmt: skip


def describe_run(
    *,
    recipe: Recipe,
    loaded: LoadedModel,
    weights_sha256: str | None,
    command: Sequence[str],
    variables: Mapping[str, str] | None = None,
    inputs: Unchanged | None = None,
) -> dict[str, Any]:
    """What the run depends on, as plain data.

    Args:
        recipe: resolved, overrides included.
        loaded: the model before training.
        weights_sha256: of its files; None where it was built from scratch.
        command: as it was typed.
        variables: of the environment, that gave flags of the command.
        inputs: the data files, as they were when they were read; None: as they are.
    """
    return {
        "hfcli": hfcli.__version__,
        "command": list(command),
        "environment": dict(variables or {}),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **describe_inputs(recipe, inputs),
        "model": {
            "name": loaded.source.name,
            "revision": loaded.source.revision,
            "sha256": weights_sha256,
        },
        "labels": recipe.task.label_names(loaded.model),
        "seed": recipe.seed,
        "versions": {"python": platform.python_version(), **_versions()},
        "hardware": _hardware(loaded),
        "git": _git(),
    }


def describe_inputs(recipe: Recipe, inputs: Unchanged | None = None) -> dict[str, Any]:
    """What of a run is known before its model is loaded: the recipe, and the data by content."""
    return {
        "recipe": recipe.model_dump(mode="json", exclude_none=True),
        "data": hashes_by_split(recipe.data, inputs or inputs_of(recipe.data)),
    }


def check_unchanged(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Compare the records of an interrupted run and of the one that is to go on with it.

    Returns:
        Sentences about changes that are harmless.

    Raises:
        RunError: something else has changed; the message says what.
    """
    harmful: list[str] = []
    harmless: list[str] = []
    rename_optimizations(before["recipe"], {})
    for path, old, new in _differences(before["recipe"], now["recipe"]):
        safe = any(path[: len(known)] == known for known in SAFE)
        text = f"{'.'.join(path)}: {_short(old)} -> {_short(new)}"
        (harmless if safe else harmful).append(text)
    hashes = [[sorted(split.values()) for split in r["data"].values()] for r in (before, now)]
    if hashes[0] != hashes[1]:
        harmful.append("the content of the data files")
    if before["model"]["sha256"] != now["model"]["sha256"]:
        harmful.append("the weights of the model")
    old, new = before.get("labels"), now.get("labels")
    if old and new and old != new:
        harmful.append(f"the order of the labels: {_short(old)} -> {_short(new)}")
    if harmful:
        raise RunError(
            f"the run cannot go on, since this has changed: {'; '.join(harmful)}",
            hint="--overwrite begins anew, -o FOLDER elsewhere; lengths, logging and saving may"
            " change",
        )
    return [f"changed since the run began: {text}" for text in harmless]


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record of an earlier run in the folder, or None.

    Raises:
        RunError: it is damaged, or was not written by hfcli.
    """
    path = folder / RUN_FILE
    if not os.path.lexists(path):
        return None
    try:
        record: dict[str, Any] = json.loads(files.read_bytes(path))
        _check_record(record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise RunError(
            f"{path}: is damaged, or is not the record of a run of hfcli",
            hint="put back a copy of it; or -o FOLDER starts elsewhere",
        ) from e
    return record


def labels_of_checkpoint(checkpoint: Path | None) -> list[str] | None:
    """Return the label names that a checkpoint was trained with, in the order of their indices.

    For records of earlier versions, which do not hold them.
    """
    path = checkpoint / "config.json" if checkpoint else None
    if path is None or not path.is_file():
        return None
    names: dict[str, str] = json.loads(path.read_text(encoding="utf-8")).get("id2label") or {}
    return [names[i] for i in sorted(names, key=int)] or None


def _check_record(record: dict[str, Any]) -> None:
    """Raise what `read_record` catches where a value is not of its type."""
    values = [record["model"]["sha256"] or ""]
    for split in record["data"].values():
        values += split.values()
    sections = [record["recipe"], *(record["recipe"].get(name, {}) for name in SECTIONS)]
    if not all(isinstance(value, str) for value in values):
        raise TypeError
    if not all(isinstance(section, dict) for section in sections):
        raise TypeError


def files_read(recipe: Recipe) -> list[Path]:
    """Return the files and folders that a recipe names and that are there, but its output."""
    found: list[Path] = []
    sections: list[Any] = [recipe.model_dump(mode="json", exclude={"output_dir"})]
    while sections:
        value = sections.pop()
        if isinstance(value, dict | list):
            sections += value.values() if isinstance(value, dict) else value
        elif isinstance(value, str) and "\0" not in value and os.path.isabs(value):
            found += [Path(value), *map(Path, glob.glob(value))]
    if recipe.model.name_or_path is not None:
        found.append(Path(str(recipe.model.name_or_path)))
    return found


def _differences(
    before: dict[str, Any], now: dict[str, Any], path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], Any, Any]]:
    found: list[tuple[tuple[str, ...], Any, Any]] = []
    for name in [*before, *(name for name in now if name not in before)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, (*path, name))
        elif old != new and (*path, name)[:2] not in {("data", split) for split in SPLIT_NAMES}:
            found.append(((*path, name), old, new))  # files are compared by content
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}


def _hardware(loaded: LoadedModel) -> dict[str, Any]:
    import psutil
    import torch

    device = loaded.model.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "device": name,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _git() -> dict[str, Any] | None:
    """Commit and state of the repository that the command was given in, if it was in one."""
    try:
        commit = _ask_git("rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_ask_git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _ask_git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, check=True, timeout=5)
    return done.stdout.decode("utf-8", "replace").strip()
