"""hfcli's own cache: where it is, what in it is hfcli's, and content that is checked when used.

An entry has a name of one form, and lies in a folder that holds hfcli's tag file; nothing else is
ever removed. What is kept has a checksum beside it: damaged entries are made again, and where the
cache cannot be read or written the work goes on without it. Knows no contents.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hfcli import files
from hfcli.errors import RunError

log = logging.getLogger(__name__)

DAYS_KEPT = 30
SECONDS_A_DAY = 86_400
TAG_FILE = "CACHEDIR.TAG"
TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# hfcli made this folder for its cache (HFCLI_CACHE), and removes its own old entries.\n"
)
KINDS = ("starts",)  # folders of remembered values
ENTRY = re.compile(r"[0-9a-f]{64}|gguf-[0-9a-f]{32}")
REMEMBERED = re.compile(r"[0-9a-f]{32}\.json")
# What an entry holds, and what a killed process of hfcli 0.1 left.
HELD = re.compile(
    r"[0-9a-f]{64}|facts\.json|counts\.json|features\.arrow|sums\.json|config\.json"
    r"|generation_config\.json|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json"
    r"|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json"
    r"|chat_template\.jinja|additional_chat_templates|vocab\.(json|txt)|merges\.txt"
    r"|(tokenizer|spiece|sentencepiece)\.model|\.(facts|[0-9a-f]{32})\.json\.\d+"
)
OLD_TEMPORARY = re.compile(r"\.writing-[a-z0-9_]{8}")
SUMS_FILE = "sums.json"
CHUNK = 1 << 20


def cache_folder() -> Path:
    """Return `HFCLI_CACHE`, else `hfcli` in the user's cache folder (XDG), else a temporary one."""
    own = os.environ.get("HFCLI_CACHE")
    try:
        if own:
            return Path(own).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hfcli"
    except RuntimeError:  # no home folder is known
        return files.scratch() / "cache"


def open_cache() -> Path:
    """Make the cache's folder and, where nothing foreign is in it, its tag; return the folder.

    Raises:
        RunError: it cannot be made, or is not a folder.
    """
    folder = cache_folder()
    with files.environment_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        os.listdir(folder)  # says why, where it is not a folder
    if not (folder / TAG_FILE).exists() and all(map(_is_ours, _listed(folder))):
        files.write_text(folder / TAG_FILE, TAG, durable=False)
    return folder


def _is_ours(entry: os.DirEntry[str]) -> bool:
    """Whether hfcli wrote this, by its name and by the names in it."""
    if not _is_folder(entry):
        return files.TEMPORARY.fullmatch(entry.name) is not None
    inside = _listed(Path(entry.path))
    if entry.name in KINDS:
        forms = (REMEMBERED, files.TEMPORARY, HELD)
        return all(any(form.fullmatch(one.name) for form in forms) for one in inside)
    named = any(f.fullmatch(entry.name) for f in (ENTRY, OLD_TEMPORARY, files.TEMPORARY))
    return named and all(map(_is_held, inside))


def _is_held(entry: os.DirEntry[str]) -> bool:
    named = HELD.fullmatch(entry.name) or files.TEMPORARY.fullmatch(entry.name)
    if named and _is_folder(entry):
        return all(map(_is_held, _listed(Path(entry.path))))
    return named is not None


def _is_tagged(folder: Path) -> bool:
    try:
        return (folder / TAG_FILE).read_bytes() == TAG.encode()
    except OSError:
        return False


def forget_unused(folder: Path, days: int = DAYS_KEPT) -> None:
    """Delete entries that no run has used for so many days, in a folder with hfcli's tag.

    What another process removes at the same time is no error, and what hfcli did not write stays.
    """
    files.clean(folder)
    if not _is_tagged(folder):
        return
    oldest = time.time() - days * SECONDS_A_DAY
    for entry in _listed(folder):
        if entry.name in KINDS and _is_folder(entry):
            for one in _listed(Path(entry.path)):
                if REMEMBERED.fullmatch(one.name) and _is_older(one, oldest):
                    files.remove(Path(one.path))
        elif _is_folder(entry) and _is_older(entry, oldest) and _is_ours(entry):
            remove_entry(Path(entry.path))


def remove_entry(folder: Path) -> None:
    """Remove an entry: the files that hfcli writes into one, and folders that are then empty."""
    for entry in _listed(folder):
        if not (HELD.fullmatch(entry.name) or files.TEMPORARY.fullmatch(entry.name)):
            continue
        if _is_folder(entry):
            remove_entry(Path(entry.path))
        else:
            files.remove(Path(entry.path))
    with contextlib.suppress(OSError):
        folder.rmdir()


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_older(entry: os.DirEntry[str], oldest: float) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_mtime < oldest
    except OSError:
        return False


def remembered(kind: str, key: Any) -> Any:
    """Plain data that `remember` kept under the key, or None; using it keeps it."""
    return read_json(_file(kind, key))


def remember(kind: str, key: Any, value: Any) -> None:
    """Keep plain data, whole or not at all; where the cache cannot be written, nothing is kept."""
    assert kind in KINDS
    path = _file(kind, key)
    try:
        open_cache()
        write_json(path, value)
    except RunError as e:
        log.info("the cache is not used: %s", e)


def _file(kind: str, key: Any) -> Path:
    name = hashlib.sha256(json.dumps([kind, key]).encode()).hexdigest()[:32]
    return cache_folder() / kind / f"{name}.json"


def write_json(path: Path, value: Any) -> None:
    """Write plain data with its checksum.

    Raises:
        RunError: it cannot be written.
    """
    with files.environment_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.is_fifo():
            path.unlink()
    text = json.dumps({"sha256": _digest(json.loads(json.dumps(value))), "value": value})
    files.write_text(path, text, durable=False)


def read_json(path: Path) -> Any:
    """Return what `write_json` wrote; None where it is not there, or not as it was written."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("not a file")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict) or found["sha256"] != _digest(found["value"]):
            raise ValueError("the checksum differs")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, RecursionError) as e:
        log.info("cached %s cannot be used (%s): it is made again", path, e)
        return None
    touch(path)
    return found["value"]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def touch(path: Path) -> None:
    """Note that an entry was used, where that can be noted."""
    with contextlib.suppress(OSError):
        os.utime(path)


def checksums(folder: Path) -> dict[str, list[Any]]:
    """Size in bytes and XXH3-128 of every file in a folder, by its relative name.

    Raises:
        OSError: a file cannot be read.
    """
    names = [path for path in _walk(folder) if path.name != SUMS_FILE]
    return {p.relative_to(folder).as_posix(): [p.stat().st_size, _checksum(p)] for p in names}


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def _checksum(path: Path) -> str:
    import xxhash

    digest, buffer = xxhash.xxh3_128(), bytearray(CHUNK)
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("not a file")
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            digest.update(memoryview(buffer)[:size])
    return digest.hexdigest()


def seal(folder: Path) -> None:
    """Write the checksums of a folder's files into it, as its last file.

    Raises:
        RunError: that cannot be done.
    """
    with files.environment_errors(folder):
        write_json(folder / SUMS_FILE, checksums(folder))


def is_sound(folder: Path) -> bool:
    """Whether a folder holds what it held when it was sealed, to the bit; using it keeps it."""
    sums = read_json(folder / SUMS_FILE)
    if sums is None:
        return False
    try:
        sound = bool(checksums(folder) == sums)
    except OSError as e:
        log.info("cached %s cannot be read (%s)", folder, e)
        return False
    if sound:
        touch(folder)
    else:
        log.info("cached %s is damaged: it is made again", folder)
    return sound


def put_in_place(written: Path, final: Path) -> None:
    """Give a finished folder its name; a damaged entry that has it is removed.

    Raises:
        RunError: that cannot be done.
    """
    with files.environment_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(written, final)
        except OSError:
            if final.is_dir() and not final.is_symlink():
                remove_entry(final)
            else:
                files.remove(final)
            os.replace(written, final)
