"""Checkpoints: whole or not there, and never the only good one deleted.

A checkpoint is written under another name and renamed when it is complete, and renamed again
before it is deleted, so that `checkpoint-N` is whole whenever the process is killed. Older ones,
or those of other tools, are looked at all the same. Knows nothing about training.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

from hfcli import files, runfolder
from hfcli.errors import RunError
from hfcli.runfolder.kinds import CHECKPOINT
from hfcli.runfolder.names import TRAINER_STATE_FILE

NEEDED = (TRAINER_STATE_FILE, "optimizer.pt", "scheduler.pt")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")
SAVING = ".saving"
DELETING = ".deleting-"
LOSS_FILE = "loss_window.json"  # in a checkpoint: the losses since the last logging step
UNPLANNED = "unplanned"  # a file in a checkpoint that the recipe did not ask for


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole, or None.

    transformers would take the highest number, and go on with a fresh optimizer, without a word,
    where the optimizer's file is missing.
    """
    whole = [path for path in checkpoints(folder) if is_whole(path)]
    return whole[-1] if whole else None


def checkpoints(folder: Path) -> list[Path]:
    """Folders named as checkpoints, by step."""
    found = []
    for path in folder.glob("checkpoint-*"):
        step = re.fullmatch(r"checkpoint-(\d+)", path.name)
        if step and path.is_dir():
            found.append((int(step.group(1)), path))
    return [path for _step, path in sorted(found)]


def is_whole(checkpoint: Path) -> bool:
    """Whether a run can go on from it: every file is there, and none is cut off."""
    if not all((checkpoint / name).is_file() for name in NEEDED):
        return False
    pickles = [*checkpoint.glob("rng_state*.pth"), *(checkpoint / name for name in NEEDED[1:])]
    if len(pickles) == 2 or not all(zipfile.is_zipfile(path) for path in pickles):
        return False  # torch's files are zip archives, whose table of contents comes last
    if not any((checkpoint / name).is_file() for name in WEIGHTS):
        return False
    if not all(_is_whole_safetensors(path) for path in checkpoint.glob("*.safetensors")):
        return False
    try:
        state = json.loads((checkpoint / TRAINER_STATE_FILE).read_text(encoding="utf-8"))
        window = checkpoint / LOSS_FILE
        known = not window.is_file() or {"loss", "since"} <= json.loads(window.read_bytes()).keys()
    except (ValueError, AttributeError, RecursionError):
        return False
    return known and isinstance(state, dict)


def _is_whole_safetensors(path: Path) -> bool:
    """By the header: its length, and the end of the last tensor."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:
            return False
        try:
            header = json.loads(file.read(size))
        except ValueError:
            return False
    ends = [v["data_offsets"][1] for name, v in header.items() if name != "__metadata__"]
    return path.stat().st_size == 8 + size + max(ends, default=0)


def read_window(checkpoint: Path | None) -> dict[str, Any]:
    """Return what hfcli saves beside transformers' state; nothing without a checkpoint."""
    path = checkpoint / LOSS_FILE if checkpoint else None
    if path is None or not path.is_file():
        return {}
    window: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return window


def complete(written: Path, window: dict[str, Any], *, planned: bool) -> None:
    """Add to a checkpoint what `read_window` reads, and whether the recipe asks for it."""
    if not planned:
        (written / UNPLANNED).touch()
    (written / LOSS_FILE).write_text(json.dumps(window), encoding="utf-8")


def load_weights(model: Any, checkpoint: Path) -> None:
    """Put the weights of a checkpoint, or of its adapter, into a model of its run."""
    if (checkpoint / "adapter_model.safetensors").is_file():
        model.load_adapter(str(checkpoint), model.active_adapters[0], is_trainable=True)
        return
    from safetensors.torch import load_file

    for path in sorted(checkpoint.glob("*.safetensors")):
        model.load_state_dict(load_file(path, device="cpu"), strict=False)  # tied ones stand once


def put_in_place(written: Path, final: Path) -> None:
    """Make a complete checkpoint visible under its name, after its bytes have reached the disk."""
    files.share(written)
    for path in written.iterdir():
        with path.open("rb+") as file:  # Windows syncs what may be written only
            os.fsync(file.fileno())
    if final.exists():
        if _holds_foreign(final):
            raise RunError(f"{final}: holds files that hfcli did not write, and stays")
        delete(final)
    os.replace(written, final)


def is_planned(checkpoint: Path) -> bool:
    """Whether a checkpoint is there because the recipe asks for it, not because of a signal."""
    return checkpoint.is_dir() and not (checkpoint / UNPLANNED).exists()


def delete_unplanned(folder: Path, *, but: Path | None = None) -> None:
    """Delete the checkpoints that an interrupted run left, once the run has passed them."""
    for path in checkpoints(folder):
        if path != but and not is_planned(path):
            delete(path)


def rotate(folder: Path, keep: int | None, best: Path | None) -> None:
    """Delete all but the newest `keep` checkpoints; the best and the last whole one always stay."""
    if keep is None:
        return
    found = checkpoints(folder)
    stay = {best, last_checkpoint(folder)}
    # The best counts among those that are kept.
    others = [path for path in found if path not in stay and not _holds_foreign(path)]
    room = max(0, keep - len(stay - {None}))
    for path in others[: len(others) - room]:
        delete(path)


def keep_best_only(folder: Path, best: Path) -> None:
    """Delete every checkpoint but the best, where a run that has ended is to keep one."""
    for path in checkpoints(folder):
        if path != best and not _holds_foreign(path):
            delete(path)


def _holds_foreign(checkpoint: Path) -> bool:
    return any(runfolder.foreign(checkpoint, CHECKPOINT))


def delete(checkpoint: Path) -> None:
    """Take a checkpoint away: at once by name, then its files."""
    away = checkpoint.with_name(f"{DELETING}{checkpoint.name}")
    shutil.rmtree(away, ignore_errors=True)
    os.replace(checkpoint, away)
    shutil.rmtree(away, ignore_errors=True)


def clean(folder: Path) -> None:
    """Remove what a killed process left half written or half deleted."""
    for path in [*folder.glob(f"{DELETING}*"), folder / SAVING]:
        shutil.rmtree(path, ignore_errors=True)
