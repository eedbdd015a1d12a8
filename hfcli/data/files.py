"""Local files -> rows, one at a time, each with the place it came from.

Reads csv, tsv, json, jsonl, parquet and txt, by suffix, and all but parquet packed by gzip. Values
stay what the file says. Every complaint names file and line. Memory holds a row, not the file;
only a txt file that is one document, and a json file that is an object, are read whole. Knows
nothing about tasks or splits.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from hfcli.data.parsed import FileOptions as FileOptions
from hfcli.data.parsed import Row as Row
from hfcli.data.parsed import Unreadable
from hfcli.data.raw_files import FileName, check_file, open_bytes
from hfcli.data.row_readers import PACKED, READERS
from hfcli.errors import DataError
from hfcli.shown import visible_line


def expand(patterns: Sequence[str]) -> list[Path]:
    """Files that the patterns name, in order, globs sorted.

    Raises:
        DataError: a pattern names no file.
    """
    paths: list[Path] = []
    for pattern in patterns:
        literal = not glob.has_magic(pattern) or _exists(pattern)
        found = [pattern] if literal else sorted(glob.glob(pattern))
        if not found:
            raise DataError(f"{pattern}: no file matches")
        for name in found:
            paths.append(check_file(Path(name), "copy what it gives into a file"))
    return paths


def read_rows(path: Path, options: FileOptions) -> Iterator[tuple[str, Row]]:
    """("file:line", row) of one file, in order; parquet and json count rows instead of lines.

    Raises:
        DataError: unknown suffix, broken syntax, wrong encoding, or no rows.
    """
    for origin, row in parse_rows(path, options):
        if isinstance(row, DataError):
            raise row
        yield origin, row


def parse_rows(path: Path, options: FileOptions) -> Iterator[tuple[str, Row | DataError]]:
    """The same with an error in the place of a row that cannot be read, which is not raised.

    Raises:
        DataError: unknown suffix, a file of which nothing more can be read, or no rows.
    """
    name = FileName.of(path)
    check_known(path, name)
    empty = True
    try:
        with open_bytes(path, packed=name.packed) as file:
            for line, row, error, hint in READERS[name.suffix](file, options):
                empty = False
                origin = f"{visible_line(str(path))}:{line}"
                if row is None:
                    yield origin, DataError(f"{origin}: {error}", hint=hint)
                else:
                    yield origin, row
    except Unreadable as e:
        raise unreadable(str(path), e) from e
    if empty:
        raise DataError(f"{path}: the file holds no rows")


def unreadable(name: str, error: Unreadable) -> DataError:
    """The error that names the file, and the line where there is one."""
    place = name if error.line is None else f"{name}:{error.line}"
    return DataError(f"{place}: {error.message}", hint=error.hint)


def check_known(path: Path | str, name: FileName, more: str = "") -> None:
    """See that files of this name can be read.

    Args:
        path: for the message.
        name: says the format.
        more: ends the hint.

    Raises:
        DataError: they cannot.
    """
    if name.suffix in (PACKED if name.packed else READERS):
        return
    suffix = f"{name.suffix}.gz" if name.packed else name.suffix
    raise DataError(
        f"{path}: cannot read files that end in {suffix!r}"
        if suffix
        else f"{path}: a file without a suffix does not say its format",
        hint=f"known: {', '.join(READERS)}; all but .parquet also with .gz"
        + (more and f"; {more}"),
    )


def _exists(pattern: str) -> bool:
    try:
        return Path(pattern).exists()
    except (OSError, ValueError):
        return False
