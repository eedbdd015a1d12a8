"""hfcli's own cache: where it is, and small plain data that is kept there. Knows no contents."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

DAYS_KEPT = 30
SECONDS_A_DAY = 86_400


def cache_folder() -> Path:
    """`HFCLI_CACHE`, else `hfcli` in the user's cache folder (XDG)."""
    own = os.environ.get("HFCLI_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hfcli"


def forget_unused(folder: Path, days: int = DAYS_KEPT) -> None:
    """Delete entries that no run has used for so many days."""
    oldest = time.time() - days * SECONDS_A_DAY
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.stat().st_mtime < oldest:
            shutil.rmtree(entry, ignore_errors=True)


def remembered(kind: str, key: Any) -> Any:
    """Plain data that `remember` kept under the key, or None."""
    try:
        return json.loads(_file(kind, key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def remember(kind: str, key: Any, value: Any) -> None:
    """Keep plain data, whole or not at all; where the cache cannot be written, nothing is kept."""
    path = _file(kind, key)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(value), encoding="utf-8")
        os.replace(partial, path)
    except OSError:
        return


def _file(kind: str, key: Any) -> Path:
    name = hashlib.sha256(json.dumps([kind, key]).encode()).hexdigest()[:32]
    return cache_folder() / kind / f"{name}.json"
