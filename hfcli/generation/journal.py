"""The journal of a bulk run, in which it keeps what is finished.

`OUTPUT.partial` holds one JSON line for the run (what it was asked) and one for every finished
text, in the order in which they were finished (`hfcli.journal`). The run ends by writing OUTPUT in
input order, and its manifest; what stood there before is there until then. Knows nothing about
models.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hfcli import files
from hfcli.errors import RunError
from hfcli.faults import environment_errors
from hfcli.generation import manifest
from hfcli.journal import InOrder, JsonLog

BEGINS_WITH = b'{"hfcli": '
PLACE = re.compile(rb'\{"row": (\d+), "sample": (\d+), "of": (\d+), ')
ANEW = "--overwrite begins anew"
REMEDY = (ANEW, f"{ANEW}; without this line, the run goes on and writes its text again")


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


@contextlib.contextmanager
def hold(output: Path) -> Iterator[None]:
    """Hold the lock of an output, before anything looks at what is there.

    Raises:
        RunError: another process writes it, or the folder cannot be made.
    """
    made = [path for path in output.parents if not path.exists()]
    with environment_errors(output.parent):
        output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with files.lock(output.with_name(f".{output.name}.lock"), writing=output):
            files.clean(output.parent)
            yield
    finally:
        with contextlib.suppress(OSError):  # it holds something
            for path in made:
                path.rmdir()


def kept_dtype(output: Path) -> str | None:
    """Return the number type of the run whose journal or finished output is there, or None.

    It may have been chosen by measuring, and a run goes on with it wherever it does.
    """
    told: Any = None
    try:
        path = _partial(output)
        if path.is_file():
            with path.open("rb") as file:
                told = json.loads(file.readline(1 << 20))
        elif output.exists():
            told = json.loads(files.read_bytes(manifest.manifest_path(output)))
    except (OSError, RunError, ValueError, RecursionError):
        return None  # `Journal` says what is wrong with it
    found = told.get("dtype") if isinstance(told, dict) else None
    return found if isinstance(found, str) else None


class Journal:
    """The journal of one output, whose lock is held (`hold`); use it as a context.

    Args:
        output: the file that the run will write.
        asked: everything the texts depend on; its first key is `hfcli`.
        overwrite: begin anew whatever of hfcli's is there.

    Attributes:
        complete: the output is there already; `found` says what is in it.

    Raises:
        RunError: the output or its journal is from something else, damaged, or cannot be written.
    """

    def __init__(self, output: Path, asked: dict[str, Any], *, overwrite: bool) -> None:
        self.output = output
        self.asked = asked
        self.path = _partial(output)
        self.done = Done()
        self.found: dict[str, Any] = {}
        self._log: JsonLog[Entry] | None = None
        self.complete = output.exists() and not os.path.lexists(self.path) and not overwrite
        if self.complete:
            self._look_at_finished()
            return
        if overwrite:
            manifest.check_replaceable(output)
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            log = JsonLog(self.path, begins=BEGINS_WITH, entry=_entry, remedy=REMEDY)
        except OSError as e:
            raise self._cannot(output, e) from e
        try:
            if overwrite:
                log.restart(asked)
            else:
                log.resume(asked, accepts=self._same, keep=self.done.add)
        except OSError as e:
            log.close()
            raise self._cannot(self.path, e) from e
        except RunError:
            log.close()
            raise
        self._log = log

    def _same(self, header: Mapping[str, Any]) -> bool:
        manifest.compare(header, self.asked, self.path)
        return True

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._log is None:
            return
        self._log.close()
        if self.complete or self.done.texts == 0:
            self._log.remove()

    def add(self, entry: Entry) -> None:
        """Keep a finished text.

        Raises:
            RunError: the disk is full.
        """
        assert self._log is not None, "a journal that is complete takes no more"
        try:
            self._log.append([vars(entry)])
        except OSError as e:
            raise self._cannot(self.path, e) from e
        self.done.add(entry)

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

    def close_with(self, written: Path, counts: dict[str, Any]) -> None:
        """Put the finished file in its place, and its manifest beside it.

        Raises:
            RunError: they cannot be put there.
        """
        try:
            with written.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(written, self.output)
        except OSError as e:
            raise self._cannot(self.output, e) from e
        manifest.write_manifest(self.output, self.asked, counts)
        self.complete = True

    def _cannot(self, path: Path, error: OSError) -> RunError:
        kept = "what is finished is kept, and the same command goes on" if self.done.texts else None
        return RunError(f"{path}: cannot be written ({error.strerror})", hint=kept)

    def _look_at_finished(self) -> None:
        if not os.path.lexists(manifest.manifest_path(self.output)):
            raise RunError(
                f"{self.output}: exists, and was not written by this command",
                hint="--overwrite replaces it",
            )
        told = manifest.read_manifest(self.output)
        self.found = told["counts"]
        manifest.compare(told, self.asked, self.output)
        manifest.check_content(self.output, told)


def _partial(output: Path) -> Path:
    return output.with_name(output.name + ".partial")


def _line_at(file: Any, place: int) -> dict[str, Any]:
    file.seek(place)
    value: dict[str, Any] = json.loads(file.readline())
    return value


def _entry(line: Any) -> Entry | None:
    """What `Journal.add` wrote; None for anything else."""
    if not isinstance(line, dict) or [*line] != ["row", "sample", "of", "record"]:
        return None
    row, sample, of, record = line.values()
    if not all(type(n) is int for n in (row, sample, of)) or not 0 <= sample < of or row < 0:
        return None
    known = isinstance(record, dict) and {"text", "finish_reason"} <= record.keys()
    return Entry(row, sample, of, record) if known else None
