"""A model's name -> the local files to load, without loading them.

A name is `bundled`, a local folder, a GGUF file, or a Hub id. Hub ids become their snapshot path
here, from the cache at once, else over the network; nothing below this module ever asks the Hub.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli import hub
from hfcli.errors import ModelError, did_you_mean
from hfcli.faults import environment_errors
from hfcli.foreign import foreign_errors
from hfcli.models.json_file import read_object
from hfcli.recipe.schema import BUNDLED
from hfcli.transfers import guard, network_errors

DEFAULT_MODEL = "openai-community/gpt2"
BUNDLED_FOLDER = Path(__file__).parent.parent / "bundled"
WEIGHTS = ("*.safetensors",)
PATTERNS = ("*.json", "*.txt", "*.model", "*.jinja")
IGNORED = ["onnx/*", "openvino/*", "original/*", "consolidated*", "coreml/*", "flax/*", "tf/*"]


@dataclass(frozen=True)
class ModelSource:
    """Where the files of a model are.

    Args:
        name: what the user called it.
        folder: local folder to load from.
        gguf_file: name of the GGUF file inside `folder`, when that is the model.
        revision: commit of a Hub model, None for local files.
        note: what the user should know about the choice, or None.
    """

    name: str
    folder: Path
    gguf_file: str | None = None
    revision: str | None = None
    note: str | None = None

    def adapter_config(self) -> dict[str, Any] | None:
        """The configuration of the adapter when this is an adapter folder (peft), else None.

        Raises:
            ModelError: it is not a JSON object.
        """
        path = self.folder / "adapter_config.json"
        if self.gguf_file or not path.is_file():
            return None
        return read_object(path)

    def adapter_base(self) -> str | None:
        """Name of the base model when this is an adapter folder that names one, else None."""
        base = (self.adapter_config() or {}).get("base_model_name_or_path")
        if base is not None and not isinstance(base, str):
            raise ModelError(
                f"{self.folder / 'adapter_config.json'}: base_model_name_or_path is not a string"
            )
        return base or None


def resolve_model(
    name: str | None,
    *,
    revision: str | None = None,
    offline: bool = False,
    allow_pickle: bool = False,
    remote_code: bool = False,
) -> ModelSource:
    """Find the files of a model; None means HFCLI_MODEL, else the default with its fallback.

    Args:
        name: see above.
        revision: branch, tag or commit of a Hub id.
        offline: open no socket.
        allow_pickle: fetch pickled weights too, and take them where there are no others.
        remote_code: fetch Python files too.

    Raises:
        ModelError: the files are not there and cannot be fetched.
    """
    if offline:
        hub.go_offline()
    name = name or os.environ.get("HFCLI_MODEL") or None
    if name is None and revision is None:
        return _default()
    name = name or DEFAULT_MODEL  # a revision of it is a choice, from which nothing falls back
    weights = (*WEIGHTS, "*.bin") if allow_pickle else WEIGHTS
    with environment_errors(error=ModelError, what="cannot be read"):
        return _resolve(name, revision, (*weights, "*.py") if remote_code else weights)


def _default() -> ModelSource:
    cached = _cached(DEFAULT_MODEL, None, WEIGHTS)
    if cached is not None:
        return cached
    if hub.reachable():
        return _download(DEFAULT_MODEL, None, WEIGHTS)
    why = "the Hub is switched off" if hub.is_offline() else "the Hub cannot be reached"
    note = (
        f"{DEFAULT_MODEL} is not in the local cache and {why}: using the small bundled model;"
        " choose one with --model or HFCLI_MODEL"
    )
    return ModelSource(BUNDLED, BUNDLED_FOLDER, note=note)


def _resolve(name: str, revision: str | None, wanted: Sequence[str]) -> ModelSource:
    if name == BUNDLED:
        return ModelSource(BUNDLED, BUNDLED_FOLDER)
    path = Path(os.path.expanduser(name))
    if os.path.isfile(path):  # which a name that is too long for a file does not trouble
        return _gguf(name, path)
    if os.path.isdir(path):
        return _folder(name, path)
    if not _looks_like_hub_id(name):
        raise ModelError(f"{name}: no such file or folder", hint=_nearby(path))
    cached = _cached(name, revision, wanted)
    if cached is not None:
        return cached
    if not hub.reachable():
        why = "the network is switched off" if hub.is_offline() else "the Hub cannot be reached"
        raise ModelError(
            f"{name}: not a local file or folder, not in the local cache, and {why}",
            hint=f"`--model {BUNDLED}` works without a network",
        )
    return _download(name, revision, wanted)


def _gguf(name: str, path: Path) -> ModelSource:
    with foreign_errors(ModelError, f"{name}: cannot be read"), path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise ModelError(
            f"{name}: is a file, but not a GGUF file",
            hint="name a GGUF file, a model folder, or a Hub id",
        )
    return ModelSource(name, path.parent, gguf_file=path.name)


def _folder(name: str, path: Path) -> ModelSource:
    if not any((path / f).is_file() for f in ("config.json", "adapter_config.json")):
        checkpoints = sorted(path.glob("**/config.json"))
        hint = f"did you mean {checkpoints[0].parent}?" if checkpoints else None
        raise ModelError(f"{name}: the folder holds no model (no config.json)", hint=hint)
    return ModelSource(name, path)


def _looks_like_hub_id(name: str) -> bool:
    parts = name.split("/")
    return (
        len(parts) <= 2
        and all(part and not part.startswith((".", "~", "-")) for part in parts)
        and not name.endswith(".gguf")
    )


def _nearby(path: Path) -> str | None:
    if not os.path.isdir(path.parent):
        return None
    near = did_you_mean(path.name, [p.name for p in path.parent.iterdir()])
    return f"did you mean {path.parent / near}?" if near else None


def _cached(name: str, revision: str | None, wanted: Sequence[str]) -> ModelSource | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        IncompleteSnapshotError,
        LocalEntryNotFoundError,
    )

    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except IncompleteSnapshotError as e:
        # Files that hfcli never fetches (pickles, other frameworks) count as missing to the Hub
        # library; `_complete` knows which files a model needs.
        found = getattr(e, "snapshot_path", None) or _snapshot_of(name, revision)
        if found is None:
            return None
        folder = Path(found)
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as e:
        raise ModelError(f"{name}: neither a local path nor a Hub id") from e
    if not _complete(folder, wanted):
        return None
    return ModelSource(name, folder, revision=hub.commit_of(folder))


def _snapshot_of(name: str, revision: str | None) -> Path | None:
    """The folder of a cached snapshot, which the oldest versions of the Hub library do not tell."""
    from huggingface_hub import try_to_load_from_cache

    for file in ("config.json", "adapter_config.json"):
        path = try_to_load_from_cache(name, file, revision=revision)
        if isinstance(path, str):
            return Path(path).parent
    return None


def _complete(folder: Path, wanted: Sequence[str]) -> bool:
    """Whether a snapshot has its configuration and every weight file; downloads can be cut off."""
    if "*.bin" in wanted and any(folder.glob("pytorch_model*.bin")):
        return (folder / "config.json").is_file()
    if (folder / "adapter_config.json").is_file():
        return (folder / "adapter_model.safetensors").is_file()
    if not (folder / "config.json").is_file():
        return False
    if "*.py" in wanted and "auto_map" in read_object(folder / "config.json"):
        return any(folder.glob("*.py"))
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return (folder / "model.safetensors").is_file()
    try:
        shards = read_object(index).get("weight_map")
    except ModelError:
        return False
    if not isinstance(shards, dict):
        return False
    return all(isinstance(s, str) and (folder / s).is_file() for s in set(shards.values()))


def _download(name: str, revision: str | None, wanted: Sequence[str]) -> ModelSource:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    refusals = (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError)
    guard()
    try:
        with network_errors(ModelError, f"{name}: download failed", passes=refusals):
            folder = Path(
                snapshot_download(
                    name,
                    revision=revision,
                    allow_patterns=[*PATTERNS, *wanted],
                    ignore_patterns=IGNORED,
                )
            )
    except GatedRepoError as e:
        raise ModelError(
            f"{name}: access is restricted",
            hint=f"ask for access on its Hub page, then run `hf auth login` ({name})",
        ) from e
    except RepositoryNotFoundError as e:
        raise ModelError(
            f"{name}: no such model on the Hub, and no such local path",
            hint="private models need `hf auth login`",
        ) from e
    except RevisionNotFoundError as e:
        raise ModelError(f"{name}: no revision {revision!r} on the Hub") from e
    if not _complete(folder, wanted):
        raise ModelError(
            f"{name}: has no safetensors weights",
            hint="pickled weights (.bin), if it has any, need --allow-pickle",
        )
    return ModelSource(name, folder, revision=hub.commit_of(folder))
