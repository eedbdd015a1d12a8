"""`OUTPUT.run.json`: what a finished output was asked for, and by which content it is known."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hfcli import files
from hfcli.changes import differences
from hfcli.errors import RunError
from hfcli.faults import environment_errors

SUFFIX = ".run.json"
FORMAT = 1  # another number where the same settings give other texts
BEGINNING = re.compile(rb'\A\s*\Z|\A\{\s*"(counts|hfcli)"')
# Not settings: hfcli's own version, the name of the input, which is compared by content, and the
# variables of the environment, whose values stand among the settings.
NOT_COMPARED = ("hfcli", "input", "environment")
INPUT_CHANGED = "input_changed"  # true: the texts are of more than one content of the input
ANEW = "--overwrite begins anew; another output (-o) keeps both"


def manifest_path(output: Path) -> Path:
    """Return where the manifest of an output stands."""
    return output.with_name(output.name + SUFFIX)


def read_manifest(output: Path) -> dict[str, Any]:
    """Return what a finished output was asked for, with its `counts` and `output_sha256`.

    Raises:
        RunError: there is none, or it is damaged.
    """
    path = manifest_path(output)
    try:
        told: dict[str, Any] = json.loads(files.read_bytes(path))
        counts = told.setdefault("counts", {})
        known = isinstance(told["hfcli"], str) and all(map(_is_count, counts.items()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        known = False
    if not known:
        raise RunError(f"{path}: is damaged, or is not a manifest of hfcli", hint=ANEW)
    return told


def write_manifest(output: Path, asked: Mapping[str, Any], counts: Mapping[str, Any]) -> None:
    """Write the manifest of an output that stands in its place.

    Raises:
        RunError: it cannot be written.
    """
    told = {"counts": counts, **asked, "output_sha256": _hash(output)}
    files.write_text(manifest_path(output), json.dumps(told, indent=2) + "\n")


def check_replaceable(output: Path) -> None:
    """Refuse to write where something of others stands under the name of the manifest.

    Raises:
        RunError: it does.
    """
    path = manifest_path(output)
    if not os.path.lexists(path):
        return
    with environment_errors(path):
        ours = path.is_file() and BEGINNING.match(path.read_bytes()[:100]) is not None
    if not ours:
        raise RunError(f"{path}: is not a manifest of hfcli", hint="move it away")


def check_content(output: Path, told: Mapping[str, Any]) -> None:
    """Refuse an output that is not what its manifest was written for.

    Raises:
        RunError: its content has changed.
    """
    wanted = told.get("output_sha256")  # earlier versions did not write it
    if wanted is not None and _hash(output) != wanted:
        raise RunError(
            f"{output}: has changed since hfcli wrote it",
            hint="--overwrite writes it anew; another output (-o) keeps both",
        )


def compare(before: Mapping[str, Any], asked: Mapping[str, Any], where: Path) -> None:
    """Refuse to go on with, or to take for finished, what was asked for with other settings.

    Raises:
        RunError: it was; the message says in what.
    """
    if before.get(INPUT_CHANGED):
        raise RunError(f"{where}: its input changed while it was read", hint=ANEW)
    old = {"format": 1, **before}
    now = json.loads(json.dumps(asked))
    for name in (*NOT_COMPARED, "counts", "output_sha256"):
        old.pop(name, None)
        now.pop(name, None)
    changed = differences(old, {"format": 1, **now})
    if changed:
        raise RunError(f"{where}: was written with other settings: {'; '.join(changed)}", hint=ANEW)


def _is_count(entry: tuple[str, Any]) -> bool:
    """A number of rows or texts, or the numbers of rows that were skipped."""
    name, value = entry
    return isinstance(value, list) if name == "skipped_rows" else type(value) is int


def _hash(output: Path) -> str:
    with environment_errors(output), output.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
