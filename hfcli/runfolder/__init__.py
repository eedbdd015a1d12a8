"""Claim, resume and empty the folders that hfcli writes; their names and marks are in `kinds`.

`--overwrite` removes the files of a marked folder that hfcli is known to write, one by one, and
refuses a folder that holds anything else. Knows nothing about training or evaluation.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from hfcli import files
from hfcli.errors import RunError
from hfcli.faults import environment_errors
from hfcli.runfolder.kinds import RUN, SWEEP, Kind, entries, is_marked, is_regular, is_temporary
from hfcli.runfolder.kinds import is_blank as is_blank
from hfcli.runfolder.names import LOCK_FILE

SHOWN = 3  # foreign files that a message names


def foreign(folder: Path, kind: Kind) -> Iterator[Path]:
    """Yield what lies in a folder and hfcli did not write, relative to it, in order of names.

    A link counts as what its name says: the link alone is removed, never what it points to.
    """
    for path in entries(folder):
        if path.is_dir() and not path.is_symlink():
            inner = kind.kind_of(path)
            if inner is None and not is_temporary(path):
                yield Path(path.name)
            elif inner is not None:
                yield from (path.name / found for found in foreign(path, inner))
        elif path.is_symlink():
            if not (kind.knows_file(path) or kind.kind_of(path)):
                yield Path(path.name)
        elif not (is_regular(path) and kind.knows_file(path)):
            yield Path(path.name)


def check(
    folder: Path,
    kind: Kind,
    *,
    resume: bool = False,
    overwrite: bool = False,
    reads: Iterable[Path | str] = (),
) -> None:
    """Refuse a folder that must not be written into. Changes nothing.

    Args:
        folder: where hfcli is going to write.
        kind: of what.
        resume: what is there goes on.
        overwrite: what is there may be removed.
        reads: files and folders that the same command reads.

    Raises:
        RunError: it holds something, and neither `resume` nor `overwrite` was asked for; or
            `overwrite` would remove what hfcli did not write, or what the command reads.
    """
    _refuse_file(folder)
    if resume or not folder.is_dir() or is_blank(folder):
        return
    if overwrite:
        check_removable(folder, kind, reads=reads)
        return
    ways = ["-o FOLDER writes elsewhere"]
    with contextlib.suppress(RunError):  # which would be told of --overwrite
        check_removable(folder, kind, reads=reads)
        ways.insert(0, "--overwrite starts again")
    if kind in (RUN, SWEEP) and is_marked(folder, kind):
        ways.insert(0, "--resume continues its last checkpoint")
    raise RunError(f"{folder}: the output folder is not empty", hint=", ".join(ways))


def check_removable(folder: Path, kind: Kind, *, reads: Iterable[Path | str] = ()) -> None:
    """Refuse to remove what `kind` did not write into a folder, or what the command reads.

    Raises:
        RunError: the folder has no mark, holds something else, or is read.
    """
    elsewhere = "-o FOLDER writes elsewhere"
    if not is_marked(folder, kind):
        raise RunError(
            f"{folder}: was not written by {kind.name} (no {kind.mark} of hfcli's), so --overwrite"
            " will not delete it",
            hint=elsewhere,
        )
    found = sorted(map(str, foreign(folder, kind)))
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise RunError(
            f"{folder}: holds {', '.join(found[:SHOWN])}{more}, which hfcli did not write, so"
            " --overwrite will not delete it",
            hint=f"move it away; or {elsewhere}",
        )
    inside = folder.resolve()
    for path in map(Path, reads):
        if path.exists() and path.resolve().is_relative_to(inside):
            raise RunError(
                f"{folder}: holds {path}, which this command reads, so --overwrite will not"
                " delete it",
                hint=elsewhere,
            )


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Make a folder and hold its lock; a folder that was made for nothing goes away again.

    Raises:
        RunError: another process writes into the folder, or it cannot be made.
    """
    _refuse_file(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with environment_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with files.lock(folder / LOCK_FILE, writing=folder):
            files.clean(folder)
            yield
    finally:
        with contextlib.suppress(OSError):  # it holds something
            for path in made:
                path.rmdir()


def replace(
    folder: Path,
    kind: Kind,
    mark: str,
    *,
    first: Iterable[str] = (),
    keep: Iterable[str] = (),
) -> None:
    """Remove what hfcli wrote into a folder, and write the mark of what comes now.

    The new mark is on the disk before the first file goes, and takes the place of the old one
    after the last: the folder carries a mark at any moment.

    Args:
        folder: that passed `check`, and is held.
        kind: of the old content and the new.
        mark: content of the mark file.
        first: names of files to remove before all others.
        keep: names that stay.

    Raises:
        RunError: a file cannot be written or removed.
    """
    with files.atomic(folder / kind.mark) as temporary:
        temporary.write_text(mark, encoding="utf-8")
        empty(folder, kind, keep={kind.mark, LOCK_FILE, temporary.name, *keep}, first=first)


def empty(
    folder: Path, kind: Kind, *, keep: Iterable[str] = (LOCK_FILE,), first: Iterable[str] = ()
) -> None:
    """Remove the files in a folder that hfcli is known to write; the folder itself stays."""
    with environment_errors(folder):
        for name in first:
            if kind.knows_file(folder / name):
                (folder / name).unlink(missing_ok=True)
        for path in entries(folder):
            if path.name not in keep:
                _remove(path, kind)


def _remove(path: Path, kind: Kind) -> None:
    inner = kind.kind_of(path) if path.is_dir() else None
    if path.is_symlink():
        if inner is not None or kind.knows_file(path):
            path.unlink(missing_ok=True)
    elif inner is not None:
        # Its mark goes last.
        for below in sorted(entries(path), key=lambda one: one.name == inner.mark):
            _remove(below, inner)
        with contextlib.suppress(OSError):  # something foreign has come in, or it is a mount point
            path.rmdir()
    elif path.is_dir():
        if is_temporary(path):
            files.remove(path)
    elif is_regular(path) and kind.knows_file(path):
        path.unlink(missing_ok=True)


def _refuse_file(folder: Path) -> None:
    if os.path.lexists(folder) and not folder.is_dir():
        what = "is a link to nothing" if folder.is_symlink() else "is a file"
        raise RunError(f"{folder}: {what}, not a folder", hint="-o FOLDER writes elsewhere")
