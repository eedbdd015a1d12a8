"""The file beside the output in which a bulk run keeps what is finished.

`OUTPUT.partial` holds one JSON line for the run (what it was asked) and one for every finished
text, in the order in which they were finished. A line is written with one system call, so that
whatever kills the process, a text is there or not; a last line cut off by a power failure is
dropped. The run ends by writing OUTPUT in input order, and what it was asked into
`OUTPUT.run.json`. Knows nothing about models.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hfcli.errors import RunError

SYNC_EVERY = 64  # texts between two fsyncs: what a power failure may cost


@dataclass(frozen=True)
class Entry:
    """A finished text.

    Args:
        row: number of the input row.
        sample: which text of the row.
        of: how many texts the row has.
        record: the text and all about it.
    """

    row: int
    sample: int
    of: int
    record: dict[str, Any]


@dataclass
class Done:
    """Which texts are finished; one byte a row."""

    rows: bytearray = field(default_factory=bytearray)
    parts: dict[int, set[int]] = field(default_factory=dict)
    texts: int = 0
    errors: int = 0

    def add(self, entry: Entry) -> None:
        """Note a finished text."""
        samples = self.parts.setdefault(entry.row, set())
        samples.add(entry.sample)
        self.texts += 1
        self.errors += entry.record["finish_reason"] == "error"
        if len(samples) == entry.of:
            del self.parts[entry.row]
            if entry.row >= len(self.rows):
                self.rows.extend(bytes(entry.row + 1 - len(self.rows)))
            self.rows[entry.row] = 1

    def has_row(self, row: int) -> bool:
        """Whether all texts of the row are finished."""
        return row < len(self.rows) and bool(self.rows[row])

    def has(self, row: int, sample: int) -> bool:
        """Whether one text is."""
        return self.has_row(row) or sample in self.parts.get(row, ())


class Journal:
    """The journal of one output; use it as a context.

    Args:
        output: the file that the run will write.
        asked: everything the texts depend on.
        overwrite: begin anew whatever is there.

    Attributes:
        complete: the output is there already; `found` says what is in it.

    Raises:
        RunError: the output or its journal is from something else, or in use.
    """

    def __init__(self, output: Path, asked: dict[str, Any], *, overwrite: bool) -> None:
        self.output = output
        self.asked = asked
        self.path = output.with_name(output.name + ".partial")
        self.manifest = output.with_name(output.name + ".run.json")
        self.done = Done()
        self.complete = False
        self.found: dict[str, int] = {}
        output.parent.mkdir(parents=True, exist_ok=True)
        if overwrite:
            for path in (self.path, self.manifest, output):
                path.unlink(missing_ok=True)
        elif output.exists() and not self.path.exists():
            self._compare_with_manifest()
            self.complete = True
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._lock()
        self._since_sync = 0
        if not self.complete:
            self._read_back()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._file)
        if self.complete:
            self.path.unlink(missing_ok=True)

    def add(self, entry: Entry) -> None:
        """Keep a finished text."""
        line = {"row": entry.row, "sample": entry.sample, "of": entry.of, "record": entry.record}
        self._write(line)
        self.done.add(entry)
        self._since_sync += 1
        if self._since_sync >= SYNC_EVERY:
            os.fsync(self._file)
            self._since_sync = 0

    def entries(self) -> Iterator[Entry]:
        """Everything that is finished, in the order of finishing."""
        with self.path.open("rb") as file:
            next(file)
            for line in file:
                yield _entry(json.loads(line))

    def close_with(self, written: Path, counts: dict[str, int]) -> None:
        """Put the finished file in its place, and what it is beside it."""
        os.replace(written, self.output)
        partial = self.manifest.with_name(self.manifest.name + ".tmp")
        told = {"counts": counts, **self.asked}
        partial.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, self.manifest)
        self.complete = True

    def _write(self, value: dict[str, Any]) -> None:
        data = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            os.close(self._file)
            raise RunError(f"{self.output}: another run is writing it") from e

    def _read_back(self) -> None:
        good = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if good == 0:
                    self._compare(json.loads(line), self.path)
                else:
                    self.done.add(_entry(json.loads(line)))
                good += len(line)
        os.ftruncate(self._file, good)
        if good == 0:
            self._write(self.asked)

    def _compare_with_manifest(self) -> None:
        if not self.manifest.is_file():
            raise RunError(
                f"{self.output}: exists, and was not written by this command",
                hint="--overwrite replaces it",
            )
        told = json.loads(self.manifest.read_text(encoding="utf-8"))
        self.found = told.pop("counts", {})
        self._compare(told, self.output)

    def _compare(self, before: dict[str, Any], where: Path) -> None:
        changed = differences(before, json.loads(json.dumps(self.asked)))
        # The same content under another name is the same input.
        changed = [line for line in changed if not line.startswith("input: ")]
        if changed:
            raise RunError(
                f"{where}: was written with other settings: {'; '.join(changed)}",
                hint="--overwrite begins anew; another --output keeps both",
            )


def differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """`name: old -> new` of every value that differs."""
    found: list[str] = []
    for name in [*before, *(name for name in now if name not in before)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}: {_short(old)} -> {_short(new)}")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _entry(line: dict[str, Any]) -> Entry:
    return Entry(line["row"], line["sample"], line["of"], line["record"])
