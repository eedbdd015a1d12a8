"""The file beside the output in which a bulk run keeps what is finished.

`OUTPUT.partial` holds one JSON line for the run (what it was asked) and one for every finished
text, in the order in which they were finished. A line is written with one system call, so that
whatever kills the process, a text is there or not; a last line cut off by a power failure is
dropped. The run ends by writing OUTPUT in input order, and what it was asked into
`OUTPUT.run.json`; what stood there before is there until then. Knows nothing about models.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hfcli.changes import differences
from hfcli.errors import RunError
from hfcli.generation.done import Done, Entry
from hfcli.generation.in_order import InOrder

MANIFEST_SUFFIX = ".run.json"
SYNC_EVERY = 64  # texts between two fsyncs: what a power failure may cost
BEGINS_WITH = b'{"hfcli": '
PLACE = re.compile(rb'\{"row": (\d+), "sample": (\d+), "of": (\d+), ')


class Journal:
    """The journal of one output; use it as a context.

    Args:
        output: the file that the run will write.
        asked: everything the texts depend on; its first key is `hfcli`.
        overwrite: begin anew whatever is there.

    Attributes:
        complete: the output is there already; `found` says what is in it.

    Raises:
        RunError: the output or its journal is from something else, in use, or cannot be written.
    """

    def __init__(self, output: Path, asked: dict[str, Any], *, overwrite: bool) -> None:
        self.output = output
        self.asked = asked
        self.path = output.with_name(output.name + ".partial")
        self.manifest = output.with_name(output.name + MANIFEST_SUFFIX)
        self.done = Done()
        self.found: dict[str, Any] = {}
        self._file = -1
        self._since_sync = 0
        self.complete = output.exists() and not self.path.exists() and not overwrite
        if self.complete:
            self._compare_with_manifest()
            return
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as e:
            raise self._cannot(output, e) from e
        self._lock()
        if overwrite:
            os.ftruncate(self._file, 0)
        self._read_back()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._file < 0:
            return
        if self.complete or self.done.texts == 0:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def add(self, entry: Entry) -> None:
        """Keep a finished text.

        Raises:
            RunError: the disk is full.
        """
        self._write(
            {"row": entry.row, "sample": entry.sample, "of": entry.of, "record": entry.record}
        )
        self.done.add(entry)
        self._since_sync += 1
        if self._since_sync >= SYNC_EVERY:
            os.fsync(self._file)
            self._since_sync = 0

    def rows(self) -> Iterator[list[dict[str, Any]]]:
        """The records of each row, in the order of the input.

        What is early is held as its place in the file: behind a row that took long, much may be.
        """
        order: InOrder[int] = InOrder()
        with self.path.open("rb") as file, self.path.open("rb") as again:
            at = len(next(file))
            for line in file:
                found = PLACE.match(line)
                assert found is not None, "lines are written by `add` alone"
                row, sample, of = map(int, found.groups())
                for places in order.push(row, sample, of, at):
                    yield [_line_at(again, place)["record"] for place in places]
                at += len(line)

    def close_with(self, written: Path, counts: dict[str, int]) -> None:
        """Put the finished file in its place, and what it is beside it.

        Raises:
            RunError: they cannot be put there.
        """
        partial = self.manifest.with_name(self.manifest.name + ".tmp")
        told = {"counts": counts, **self.asked}
        try:
            with written.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(written, self.output)
            partial.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
            os.replace(partial, self.manifest)
        except OSError as e:
            raise self._cannot(self.output, e) from e
        self.complete = True

    def _write(self, value: dict[str, Any]) -> None:
        view = memoryview(json.dumps(value, ensure_ascii=False).encode() + b"\n")
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as e:
            raise self._cannot(self.path, e) from e

    def _cannot(self, path: Path, error: OSError) -> RunError:
        kept = "what is finished is kept, and the same command goes on" if self.done.texts else None
        return RunError(f"{path}: cannot be written ({error.strerror})", hint=kept)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            os.close(self._file)
            raise RunError(f"{self.output}: another run is writing it") from e

    def _read_back(self) -> None:
        good = 0
        with self.path.open("rb") as file:
            first = file.readline()
            if first[: len(BEGINS_WITH)] != BEGINS_WITH[: len(first)]:
                raise RunError(f"{self.path}: is no journal of hfcli's", hint="move it away")
            for line in file:
                entry = _parsed(line)
                if entry is None:
                    break
                if good == 0:
                    self._compare(_parsed(first) or {}, self.path)
                    good = len(first)
                self.done.add(_entry(entry))
                good += len(line)
        # Where nothing is finished, nothing is lost by beginning anew, with whatever settings.
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
                hint="--overwrite begins anew; another output (-o) keeps both",
            )


def read_manifest(output: Path) -> dict[str, Any]:
    """What a finished output was asked for, as `Journal.close_with` wrote it."""
    manifest = output.with_name(output.name + MANIFEST_SUFFIX)
    told: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    return told


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A whole line; None where a power failure left half of one, or zeros."""
    try:
        value: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return value if line.endswith(b"\n") else None


def _line_at(file: Any, place: int) -> dict[str, Any]:
    file.seek(place)
    value: dict[str, Any] = json.loads(file.readline())
    return value


def _entry(line: dict[str, Any]) -> Entry:
    return Entry(line["row"], line["sample"], line["of"], line["record"])
