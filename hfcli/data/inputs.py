"""Input files that stay what they were while a run reads them.

A file that is rewritten in the middle gives rows of two files, under the hash of one. Knows
nothing about what is in the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hfcli.data.cache import file_hash
from hfcli.data.files import expand
from hfcli.errors import DataError
from hfcli.recipe.schema import DataSection

SPLITS = ("train", "validation", "test")


class Unchanged:
    """Files by content, before they are read; `check` says whether they are the same afterwards.

    Args:
        paths: what will be read.
        hashes: SHA-256 of those that were hashed already.

    Attributes:
        hashes: SHA-256 of each file, as it was at first.

    Raises:
        DataError: a file cannot be read.
    """

    def __init__(self, paths: Iterable[Path], hashes: Mapping[Path, str] | None = None) -> None:
        known = hashes or {}
        self.hashes = {path: known.get(path) or file_hash(path) for path in paths}

    def check(self) -> None:
        """See that every file holds what it held.

        Raises:
            DataError: one was changed, or is gone.
        """
        error = self.changed()
        if error is not None:
            raise error

    def changed(self) -> DataError | None:
        """Return the error that `check` raises, or None."""
        for path, before in self.hashes.items():
            try:
                same = file_hash(path) == before
            except DataError:
                same = False
            if not same:
                return DataError(
                    f"{path}: the file changed while it was read",
                    hint="run the command again when nothing writes into it",
                )
        return None


def inputs_of(section: DataSection, splits: Sequence[str] = SPLITS) -> Unchanged:
    """Take the hashes of a data section's files; of none where they are a data set of the Hub.

    Raises:
        DataError: a pattern names no file, or a file cannot be read.
    """
    if section.path is not None:
        return Unchanged([])
    return Unchanged(dict.fromkeys(p for name in splits for p in expand(getattr(section, name))))


def hashes_by_split(section: DataSection, inputs: Unchanged) -> dict[str, dict[str, str]]:
    """SHA-256 of every data file, by split and path; nothing for a data set of the Hub."""
    if section.path is not None:
        return {}
    named = {name: expand(getattr(section, name)) for name in SPLITS}
    return {
        name: {str(path): inputs.hashes[path] for path in paths}
        for name, paths in named.items()
        if paths
    }
