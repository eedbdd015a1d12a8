"""An adapter folder -> a whole model folder that needs neither the base model nor peft.

Knows nothing about training; the numbers of the run are copied, not made again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hfcli import files
from hfcli.device import Placement
from hfcli.errors import ModelError, RunError
from hfcli.faults import environment_errors
from hfcli.models.load import LoadedModel, ensure_pad_token, load_model
from hfcli.models.resolve import resolve_model
from hfcli.models.task import guess_task
from hfcli.results import MergeResult
from hfcli.tasks import task_classes

DTYPES = ("float32", "bfloat16", "float16")
# What a run wrote about itself; `hfcli eval FOLDER` reads the first two.
RECORDS = ("recipe.yaml", "result.json", "run.json", "metrics.jsonl")


def merge_adapter(
    *,
    name: str,
    folder: Path,
    dtype: str = "float32",
    revision: str | None = None,
    offline: bool = False,
) -> MergeResult:
    """Load an adapter and its base, merge them in float32 on the CPU, save model and tokenizer.

    Args:
        name: adapter folder or Hub id.
        folder: where the model goes; it must be empty or not there. It appears whole or not at all.
        dtype: number type of the saved weights; only float32 keeps the merged weights as they are.
        revision: branch, tag or commit of a Hub id.
        offline: open no socket.

    Raises:
        ModelError: not an adapter, or one that cannot be loaded.
        RunError: the folder is not empty, or cannot be written.
    """
    import torch

    _check_empty(folder)
    source = resolve_model(name, revision=revision, offline=offline)
    if source.adapter_config() is None:
        raise ModelError(
            f"{name}: is a whole model, not an adapter",
            hint="there is nothing to merge; runs with model.lora write adapters",
        )
    name_of_task = guess_task(source)
    task = task_classes()[name_of_task].model_validate({"name": name_of_task})
    loaded = load_model(
        source=source,
        task=task,
        dtype=torch.float32,
        placement=Placement(torch.device("cpu")),
    )
    ensure_pad_token(loaded)
    loaded.model.to(getattr(torch, dtype))
    _save(loaded, folder)
    return MergeResult(
        output=str(folder),
        adapter=name,
        base=str(source.adapter_base()),
        task=task.name,
        dtype=dtype,
        parameters=sum(p.numel() for p in loaded.model.parameters()),
        try_next=list(task.try_next) if (folder / RECORDS[0]).is_file() else [],
    )


def _check_empty(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise RunError(
            f"{folder}: {'is a file' if folder.is_file() else 'the folder is not empty'}",
            hint="-o FOLDER writes elsewhere",
        )


def _save(loaded: LoadedModel, folder: Path) -> None:
    folder = folder.absolute()  # `.` has no name
    with environment_errors(folder, what="cannot be written"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        files.clean(folder.parent)
        temporary = files.create_temporary(folder, folder=True)
        try:
            loaded.model.config.use_cache = True
            loaded.model.save_pretrained(temporary)
            files.share(temporary)
            loaded.tokenizer.save_pretrained(temporary)
            for record in RECORDS:
                if (loaded.source.folder / record).is_file():
                    shutil.copy(loaded.source.folder / record, temporary)
            os.replace(temporary, folder)
        finally:
            files.remove(temporary)
