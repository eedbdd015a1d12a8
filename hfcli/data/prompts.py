"""A file, a Hub data set or stdin -> rows, one at a time, in flat memory, broken ones included.

For bulk generation: a row that cannot be read is handed on with its complaint, so that as many
rows come out as went in. (`hfcli.data.files` reads training data by the same readers, and stops at
the first one.)
Knows nothing about models.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, BinaryIO

from hfcli.data.arrow_file import rows_hash
from hfcli.data.files import check_known, unreadable
from hfcli.data.hub import load_hub_split
from hfcli.data.parsed import DEEPEST as DEEPEST
from hfcli.data.parsed import FileOptions, Parsed, Quoting, Unreadable
from hfcli.data.raw_files import DAMAGED, FileName, check_file, open_bytes
from hfcli.data.row_readers import A_LINE_A_ROW, CHUNK, READERS, is_text
from hfcli.errors import DataError
from hfcli.shown import shown

DASH = "-"  # stdin, or stdout


@dataclass(frozen=True)
class InputRow:
    """One row of the input.

    Args:
        number: from 0, counting every row.
        origin: `file:line`.
        values: its columns.
        error: why it could not be read, else None.
    """

    number: int
    origin: str
    values: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class InputRows:
    """An input that can be read.

    Args:
        name: what the user called it.
        fingerprint: changes when the content does; None where that cannot be known.
        total: how many rows there are, where that is cheap to know.
        read: yields the rows from the start.
        path: of a file; it has the fingerprint of its bytes.
    """

    name: str
    fingerprint: str | None
    total: int | None
    read: Callable[[], Iterator[InputRow]]
    path: Path | None = None


def open_rows(
    name: str,
    *,
    format: str | None = None,
    split: str = "train",
    offline: bool = False,
    keep_stdin: bool = False,
    encoding: str = "utf-8",
    quoting: Quoting = "auto",
    tell: Callable[[str], None] = lambda told: None,
) -> InputRows:
    """Find the input and take its fingerprint.

    Args:
        name: a file, `-`, or the id of a Hub data set.
        format: csv, json, jsonl, parquet, tsv or txt; default: by the suffix, jsonl for stdin.
        split: of a Hub data set.
        offline: open no socket.
        keep_stdin: copy stdin to a temporary file first, so that it has a fingerprint; else it is
            read as it comes.
        encoding: of a text file, as Python names it.
        quoting: whether cells of a tsv file stand in quotes.
        tell: takes sentences about how the file is read.

    Raises:
        DataError: there is no such file or data set, or its format is not known. `read` raises it
            where stdin of no named format does not begin with a row.
    """
    options = FileOptions(encoding=encoding, quoting=quoting, prompts=True, tell=tell)
    if name == DASH:
        return _stdin(format, options, keep=keep_stdin)
    path = _expanded(name)
    if name.count("/") == 1 and not path.suffix and not _exists(path) and not _exists(path.parent):
        return _hub(name, split, offline=offline)
    check_file(path, "what comes from a command is read by -i -")
    file_name = FileName.of(path)
    if format is not None:
        file_name = replace(file_name, suffix=_known_format(format))
    check_known(name, file_name, "--input-format names another format")

    def read() -> Iterator[InputRow]:
        with open_bytes(path, packed=file_name.packed) as file:
            yield from _numbered(name, READERS[file_name.suffix](file, options))

    with open_bytes(path, packed=False) as file:
        told = _look(file, file_name.suffix)
    return InputRows(name, told[0], None if file_name.packed else told[1], read, path)


def _known_format(name: str) -> str:
    suffix = f".{name.removeprefix('.').lower()}"
    if suffix not in READERS:
        known = ", ".join(known.removeprefix(".") for known in READERS)
        raise DataError(f"--input-format: unknown format {shown(name)}", hint=f"known: {known}")
    return suffix


def _expanded(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as e:  # ~nobody/
        raise DataError(f"{name}: no such file ({e})") from e


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _stdin(format: str | None, options: FileOptions, *, keep: bool) -> InputRows:
    suffix = _known_format(format or "jsonl")

    def parsed(source: BinaryIO) -> Iterator[InputRow]:
        rows = _numbered("stdin", READERS[suffix](source, options))
        return rows if format else _begun_well(rows)

    if not keep:
        source = sys.stdin.buffer
        return InputRows("stdin", None, None, lambda: parsed(source))
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed when read
    try:
        looked = _look(sys.stdin.buffer, suffix, copy)
    except OSError as e:
        raise DataError(f"stdin: cannot be kept in a temporary file ({e.strerror})") from e

    def read() -> Iterator[InputRow]:
        with copy:
            copy.seek(0)
            yield from parsed(copy)

    return InputRows("stdin", *looked, read)


def _begun_well(rows: Iterator[InputRow]) -> Iterator[InputRow]:
    """Rows of which nobody said that they are JSON lines: the first one tells."""
    for row in rows:
        if row.number == 0 and row.error is not None:
            others = ", ".join(suffix.removeprefix(".") for suffix in READERS)
            raise DataError(
                f"{row.origin}: {row.error}, and stdin is read as jsonl",
                hint=f"--input-format says what it is: {others}",
            )
        yield row


def _look(file: IO[bytes], suffix: str, copy: IO[bytes] | None = None) -> tuple[str, int | None]:
    """SHA-256 of the content, and the number of rows where a look at the bytes tells it."""
    digest = hashlib.sha256()
    lines, returns, last = 0, 0, b"\n"
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        lines += chunk.count(b"\n")
        returns += chunk.count(b"\r")
        last = chunk[-1:]
        if copy is not None:
            copy.write(chunk)
    if copy is not None:
        copy.flush()
    if suffix not in A_LINE_A_ROW:
        return digest.hexdigest(), None
    # A file without line feeds has carriage returns at the ends of its lines.
    end, lines = (b"\n", lines) if lines else (b"\r", returns)
    return digest.hexdigest(), lines + (last not in (b"\n", end))


def _numbered(name: str, parsed: Iterator[Parsed]) -> Iterator[InputRow]:
    try:
        for number, (line, values, error, _hint) in enumerate(parsed):
            if error is None and values is not None:
                error = _not_text(values)
            yield InputRow(number, f"{name}:{line}", values or {}, error)
    except Unreadable as e:
        raise unreadable(name, e) from e
    except DAMAGED:
        raise  # for who unpacks
    except OSError as e:
        raise DataError(f"{name}: cannot be read ({e.strerror or e})") from e


def _not_text(values: dict[str, Any]) -> str | None:
    for name, value in values.items():
        found = [name, value]
        while found:
            item = found.pop()
            if isinstance(item, str):
                if not item.isascii() and not is_text(item):
                    return f"column {name!r} is not valid UTF-8 text"
            elif isinstance(item, dict):
                found += [*item, *item.values()]
            elif isinstance(item, list):
                found += item
    return None


def _hub(name: str, split: str, *, offline: bool) -> InputRows:
    rows = load_hub_split(path=name, name=None, revision=None, split=split, offline=offline)

    def read() -> Iterator[InputRow]:
        for number, row in enumerate(rows):
            yield InputRow(number, f"{name}/{split}:{number}", dict(row))

    return InputRows(name, f"{split}-{rows_hash(rows)}", len(rows), read)
