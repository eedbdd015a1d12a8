"""The folder of an evaluation: which one it is, whose it is, and what of it can be used again.

The mark, `.hfcli.json`, is written first. It holds everything that the predictions depend on, and
once they stand there, their hash. Computes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hfcli
from hfcli import files, runfolder
from hfcli.changes import differences
from hfcli.errors import RunError
from hfcli.faults import environment_errors
from hfcli.files import TEMPORARY
from hfcli.runfolder.kinds import EVALUATION, is_marked
from hfcli.runfolder.names import (
    LOCK_FILE,
    MARK_FILE,
    PREDICTIONS_FILE,
    REPORT_FILE,
    SCORES_FILE,
    TEXTS_FILE,
)

KEY = ("weights_sha256", "data_sha256", "settings")  # equal keys have equal predictions
DIGITS = 8  # of the key, in the name of a folder
SECONDS = 2.0  # in which another process has written its mark
ANOTHER = "--overwrite replaces it, -o FOLDER writes elsewhere"
DAMAGED = "--overwrite scores the rows anew, -o FOLDER writes elsewhere"


class EvaluationFolder:
    """Where an evaluation goes; use it as a context, in which `take` locks the folder.

    Args:
        named: by the user; None: `default`, or where another evaluation stands there, a folder
            of that name and a hash of what is evaluated.
        default: see `named`.
        overwrite: another evaluation may be replaced.
        about: `model` and `data`, for messages.

    Attributes:
        path: of the folder.
        key: what the predictions depend on, once the folder is taken.
    """

    def __init__(
        self, *, named: Path | None, default: Path, overwrite: bool, about: Mapping[str, str]
    ) -> None:
        self.named = named
        self.default = default
        self.overwrite = overwrite
        self.about = about
        self.path = named or default
        self.key: dict[str, Any] = {}
        self._held = contextlib.ExitStack()

    def __enter__(self) -> EvaluationFolder:
        return self

    def __exit__(self, *_error: object) -> None:
        self._held.close()

    def take(self, key: Mapping[str, Any]) -> Path:
        """Lock the folder of an evaluation and write its mark.

        Args:
            key: everything that its predictions depend on, under the names of `KEY`.

        Raises:
            RunError: another process writes there, or something else stands there.
        """
        self.key = {name: json.loads(json.dumps(key[name])) for name in KEY}
        text = json.dumps(self.key, sort_keys=True)
        name = f"{self.default.name}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"
        hashed = self.default.with_name(name)
        if self.named is not None:
            self._claim(self.named)
        elif _is_same(_before(hashed), self.key) or not self._try(self.default):
            self._claim(hashed)
        return self.path

    def reuses(self) -> bool:
        """Return whether the predictions of this very evaluation are there.

        If so, the scores of a run that was killed right after it had written them are removed.

        Raises:
            RunError: they have changed since they were written.
        """
        path = self.path / PREDICTIONS_FILE
        if not os.path.lexists(path):
            return False
        if not path.is_file() or has_changed(self.path):
            raise RunError(f"{path}: has changed since hfcli wrote it", hint=DAMAGED)
        # Without a hash, of a version that wrote no mark; its report came last.
        noted = "predictions_sha256" in (_read(self.path / MARK_FILE) or {})
        there = noted or _is_same(_read(self.path / REPORT_FILE), self.key)
        if there:
            (self.path / SCORES_FILE).unlink(missing_ok=True)
        return there

    def keep(self) -> None:
        """Note in the mark that the predictions stand there."""
        self._write_mark(predictions_sha256=file_hash(self.path / PREDICTIONS_FILE))

    def _try(self, folder: Path) -> bool:
        """`_claim`; False where the folder is another evaluation's, or something else's."""
        try:
            self._claim(folder)
        except RunError:
            end = time.monotonic() + SECONDS
            busy = (folder / LOCK_FILE).exists()
            while busy and _before(folder) is None and time.monotonic() < end:
                time.sleep(0.05)
            if _is_same(_before(folder), self.key):
                raise
            return False
        return True

    def _claim(self, folder: Path) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(runfolder.hold(folder))
            self.path = folder
            self._check(folder)
            self._held = stack.pop_all()

    def _check(self, folder: Path) -> None:
        """Refuse what others wrote; begin anew or go on with what is hfcli's."""
        if (folder / "config.json").is_file():
            raise RunError(f"{folder}: holds a model", hint="-o names another folder")
        if not is_marked(folder, EVALUATION):
            own = (LOCK_FILE, MARK_FILE)
            there = [p.name for p in sorted(folder.iterdir()) if EVALUATION.knows_file(p)]
            found = [name for name in there if name not in own and not TEMPORARY.fullmatch(name)]
            if found or os.path.lexists(folder / MARK_FILE):
                raise RunError(
                    f"{folder}: holds {(found or [MARK_FILE])[0]}, which hfcli did not write",
                    hint="move it away, or -o FOLDER writes elsewhere",
                )
            self._write_mark()
            return
        before = _before(folder)
        if _is_same(before, self.key) and not self._is_damaged(folder):
            return
        if not self.overwrite and _holds_something(folder):
            raise _another(folder, before or {}, self.key)
        if self.overwrite:
            runfolder.check_removable(folder, EVALUATION)
        first = [REPORT_FILE, PREDICTIONS_FILE]
        runfolder.replace(folder, EVALUATION, self._mark(), first=first)

    def _is_damaged(self, folder: Path) -> bool:
        """Whether files of this evaluation are damaged and may be replaced.

        Raises:
            RunError: they are damaged, and may not.
        """
        report = folder / REPORT_FILE
        damaged = os.path.lexists(report) and _read(report) is None
        if damaged and not self.overwrite:
            raise RunError(f"{report}: is damaged, or is not a report of hfcli", hint=DAMAGED)
        return self.overwrite and (damaged or has_changed(folder))

    def _mark(self, **more: str) -> str:
        mark = {"hfcli": hfcli.__version__, "kind": "evaluation", **self.about, **self.key}
        return json.dumps({**mark, **more}, indent=2) + "\n"

    def _write_mark(self, **more: str) -> None:
        files.write_text(self.path / MARK_FILE, self._mark(**more))


def has_changed(folder: Path) -> bool:
    """Return whether predictions have changed since an evaluation wrote them."""
    wanted = (_read(folder / MARK_FILE) or {}).get("predictions_sha256")
    path = folder / PREDICTIONS_FILE
    return wanted is not None and path.is_file() and file_hash(path) != wanted


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with environment_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _before(folder: Path) -> dict[str, Any] | None:
    """What the evaluation in a folder is of: its mark, else the report of an earlier version."""
    for name in (MARK_FILE, REPORT_FILE):
        found = _read(folder / name)
        if found is not None and set(KEY) <= found.keys():
            return found
    return None


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is none."""
    try:
        value = json.loads(files.read_bytes(path))
    except (RunError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_same(before: Mapping[str, Any] | None, key: Mapping[str, Any]) -> bool:
    return before is not None and all(before.get(name) == key[name] for name in KEY)


def _holds_something(folder: Path) -> bool:
    """Whether anything was computed: where nothing was, nothing is lost by beginning anew."""
    scores = folder / SCORES_FILE
    begun = scores.is_file() and scores.read_bytes().count(b"\n") > 1
    names = (REPORT_FILE, PREDICTIONS_FILE, TEXTS_FILE, f"{TEXTS_FILE}.partial")
    return begun or any(os.path.lexists(folder / name) for name in names)


def _another(folder: Path, before: Mapping[str, Any], key: Mapping[str, Any]) -> RunError:
    return RunError(
        f"{folder}: holds another evaluation (of {before.get('model')} on"
        f" {before.get('data')}): {_changed(before, key)}",
        hint=ANOTHER,
    )


def _changed(before: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    """In what an evaluation is another one."""
    shown = {"weights_sha256": "other weights", "data_sha256": "other data"}
    found = [text for name, text in shown.items() if before.get(name) != key[name]]
    old = before.get("settings")
    changed = differences(old if isinstance(old, dict) else {}, key["settings"])
    settings = [line.partition(": ") for line in changed]
    # A setting of the task stands among those of its scoring once more, as it was understood.
    by_name = {name.rpartition(".")[2]: change for name, _, change in settings}
    return "; ".join([*found, *(f"{name}: {change}" for name, change in by_name.items())])
