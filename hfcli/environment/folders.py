"""Folders of caches with the space that is left there, and whether the network may be used."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from hfcli import hub
from hfcli.cache import cache_folder
from hfcli.results import Folder, Network

# As huggingface_hub documents them; the first that is set counts.
HUB_CACHE = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
OWN_CACHE = ("HFCLI_CACHE", "XDG_CACHE_HOME")
TEMPORARY = ("TMPDIR", "TEMP", "TMP")
NETWORK = (
    "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE",
    "HF_ENDPOINT", "HF_HUB_DISABLE_XET",
)  # fmt: skip
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def cache_folders() -> list[Folder]:
    """Return where models, hfcli's cache and temporary files go."""
    return [
        _folder("models", hub_cache(), HUB_CACHE),
        _folder("hfcli", cache_folder(), OWN_CACHE),
        _folder("temporary", Path(tempfile.gettempdir()), TEMPORARY),
    ]


def hf_home() -> Path:
    """Return the folder of the Hub libraries."""
    named = os.environ.get("HF_HOME")
    if named:
        return Path(os.path.expanduser(named))
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return Path(os.path.expanduser(cache)) / "huggingface"


def hub_cache() -> Path:
    """Return the folder of models and data sets that were fetched."""
    named = next((value for name in HUB_CACHE[:2] if (value := os.environ.get(name))), None)
    return Path(os.path.expanduser(named)) if named else hf_home() / "hub"


def _folder(name: str, path: Path, variables: tuple[str, ...]) -> Folder:
    there = next((p for p in (path, *path.parents) if p.is_dir()), None)
    try:
        free = None if there is None else shutil.disk_usage(there).free
    except OSError:
        free = None
    return Folder(
        name=name,
        path=str(path),
        variable=next((one for one in variables if os.environ.get(one)), None),
        exists=there == path,
        writable=there is not None and os.access(there, os.W_OK),
        free=free,
    )


def describe_network() -> Network:
    """Return whether the network may be used, and what decides it."""
    there = {name: value for name in NETWORK if (value := os.environ.get(name))}
    if "HF_ENDPOINT" in there:  # a password may stand before the host
        there["HF_ENDPOINT"] = re.sub(r"//[^/@]*@", "//", there["HF_ENDPOINT"])
    return Network(offline=hub.is_offline(), variables=there, token=_token())


def _token() -> str | None:
    named = next((name for name in TOKENS if os.environ.get(name)), None)
    if named is not None:
        return named
    file = os.environ.get("HF_TOKEN_PATH")
    path = Path(os.path.expanduser(file)) if file else hf_home() / "token"
    return str(path) if path.is_file() else None
