"""An adapter folder -> a whole model folder that needs neither the base model nor peft.

Knows nothing about training; the numbers of the run are copied, not made again.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import hfcli
from hfcli import files, runfolder
from hfcli.device import Placement
from hfcli.errors import ModelError
from hfcli.faults import environment_errors
from hfcli.models.load import LoadedModel, ensure_padding, load_model
from hfcli.models.resolve import resolve_model
from hfcli.models.task import guess_task
from hfcli.process import check_single_process
from hfcli.results import MergeResult
from hfcli.runfolder.kinds import MERGED
from hfcli.runfolder.names import METRICS_FILE, RECIPE_FILE, RESULT_FILE, RUN_FILE
from hfcli.tasks import task_classes

DTYPES = ("float32", "bfloat16", "float16")
CONFIG = "config.json"
# What a run wrote about itself; `hfcli eval FOLDER` reads the first two.
RECORDS = (RECIPE_FILE, RESULT_FILE, RUN_FILE, METRICS_FILE)


def merge_adapter(
    *,
    name: str,
    folder: Path,
    dtype: str = "float32",
    revision: str | None = None,
    overwrite: bool = False,
    offline: bool = False,
) -> MergeResult:
    """Load an adapter and its base, merge them in float32 on the CPU, save model and tokenizer.

    Args:
        name: adapter folder or Hub id.
        folder: where the model goes; it must be empty or not there. It is a model when it is whole.
        dtype: number type of the saved weights; only float32 keeps the merged weights as they are.
        revision: branch, tag or commit of a Hub id.
        overwrite: replace a merged model there that hfcli wrote.
        offline: open no socket.

    Raises:
        ModelError: not an adapter, or one that cannot be loaded.
        RunError: the folder is not empty, or cannot be written; a launcher started more than one
            process.
    """
    check_single_process()
    with runfolder.hold(folder):
        runfolder.check(folder, MERGED, overwrite=overwrite, reads=[name])
        return _merge(name, folder, dtype, revision, offline, overwrite)


def _merge(
    name: str, folder: Path, dtype: str, revision: str | None, offline: bool, overwrite: bool
) -> MergeResult:
    import torch

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
    if not all(bool(p.isfinite().all()) for p in loaded.model.parameters()):
        raise ModelError(f"{name}: the merged weights are not all numbers (NaN or infinite)")
    ensure_padding(loaded, task)
    loaded.model.to(getattr(torch, dtype))
    reads = [part.folder for part in loaded.parts if part.folder is not None]
    runfolder.check(folder, MERGED, overwrite=overwrite, reads=reads)
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


def _save(loaded: LoadedModel, folder: Path) -> None:
    """Save into a folder inside, then move what is there; the configuration comes last."""
    with environment_errors(folder, what="cannot be written"):
        temporary = files.create_temporary(folder / "model", folder=True)
        try:
            loaded.model.config.use_cache = True
            loaded.model.save_pretrained(temporary)
            files.share(temporary)
            loaded.tokenizer.save_pretrained(temporary)
            for record in RECORDS:
                if (loaded.source.folder / record).is_file():
                    shutil.copy(loaded.source.folder / record, temporary)
            runfolder.replace(folder, MERGED, _mark(loaded), keep={temporary.name})
            # Without its configuration, a folder is not taken for a model.
            for path in sorted(temporary.iterdir(), key=lambda path: path.name == CONFIG):
                os.replace(path, folder / path.name)
        finally:
            files.remove(temporary)


def _mark(loaded: LoadedModel) -> str:
    told = {"hfcli": hfcli.__version__, "kind": "merged", "adapter": loaded.source.name}
    return json.dumps(told, indent=2) + "\n"
