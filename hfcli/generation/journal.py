"""The file beside the output in which a bulk run keeps what is finished.

`OUTPUT.partial` holds one JSON line for the run (what it was asked) and one for every finished
text, in the order in which they were finished. A line is written with one system call, so that
whatever kills the process, a text is there or not; a last line cut off by a power failure is
dropped. The run ends by writing OUTPUT in input order, and its manifest; what stood there before is
there until then. Knows nothing about models.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hfcli import files
from hfcli.errors import RunError
from hfcli.faults import environment_errors
from hfcli.generation import manifest
from hfcli.generation.done import Done, Entry
from hfcli.generation.in_order import InOrder

SYNC_EVERY = 64  # texts between two fsyncs: what a power failure may cost
BEGINS_WITH = b'{"hfcli": '
PLACE = re.compile(rb'\{"row": (\d+), "sample": (\d+), "of": (\d+), ')


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
        self._file = -1
        self._since_sync = 0
        self.complete = output.exists() and not os.path.lexists(self.path) and not overwrite
        if self.complete:
            self._look_at_finished()
            return
        if overwrite:
            manifest.check_replaceable(output)
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            flags = files.open_flags("O_RDWR", "O_CREAT", "O_APPEND", "O_NOFOLLOW", "O_NONBLOCK")
            self._file = os.open(self.path, flags, 0o666)
        except OSError as e:
            raise self._cannot(output, e) from e
        try:
            self._begin(overwrite)
        except RunError:
            os.close(self._file)
            raise

    def _begin(self, overwrite: bool) -> None:
        """Read what an earlier run has finished; nothing where it is to begin anew."""
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise self._foreign()
        with self.path.open("rb") as file:
            first = file.readline()
            if first[: len(BEGINS_WITH)] != BEGINS_WITH[: len(first)]:
                raise self._foreign()
            good = 0 if overwrite else self._read_back(first, file)
        # Where nothing is finished, nothing is lost by beginning anew, with whatever settings.
        try:
            os.ftruncate(self._file, good)
        except OSError as e:
            raise self._cannot(self.path, e) from e
        if good == 0:
            self._write(self.asked)

    def _foreign(self) -> RunError:
        return RunError(f"{self.path}: is not a journal of hfcli", hint="move it away")

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._file < 0:
            return
        os.close(self._file)  # first: Windows removes no open file
        if self.complete or self.done.texts == 0:
            self.path.unlink(missing_ok=True)

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

    def _read_back(self, first: bytes, file: Any) -> int:
        """Note what is finished; the number of bytes that are good.

        Raises:
            RunError: a line is damaged that is not the last, or the run had other settings.
        """
        good, torn = 0, 0
        for number, line in enumerate(file, 2):
            entry = _entry(_parsed(line))
            if entry is None:
                torn = torn or number
                continue
            if torn:
                raise self._damaged(torn)
            if good == 0:
                header = _parsed(first)
                if header is None:
                    raise self._damaged(1)
                manifest.compare(header, self.asked, self.path)
                good = len(first)
            self.done.add(entry)
            good += len(line)
        return good

    def _damaged(self, line: int) -> RunError:
        hint = "--overwrite begins anew"
        if line > 1:
            hint += "; without this line, the run goes on and writes its text again"
        return RunError(f"{self.path}:{line}: is damaged", hint=hint)

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


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A whole line; None where a power failure left half of one, or zeros."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if line.endswith(b"\n") and isinstance(value, dict) else None


def _line_at(file: Any, place: int) -> dict[str, Any]:
    file.seek(place)
    value: dict[str, Any] = json.loads(file.readline())
    return value


def _entry(line: dict[str, Any] | None) -> Entry | None:
    """What `Journal.add` wrote; None for anything else."""
    if line is None or [*line] != ["row", "sample", "of", "record"]:
        return None
    row, sample, of, record = line.values()
    if not all(type(n) is int for n in (row, sample, of)) or not 0 <= sample < of or row < 0:
        return None
    known = isinstance(record, dict) and {"text", "finish_reason"} <= record.keys()
    return Entry(row, sample, of, record) if known else None
