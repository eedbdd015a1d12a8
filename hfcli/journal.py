"""Append-only files of JSON lines, and the order in which their entries leave them.

The first line says what the others belong to. A line is written with one system call, so that
whatever kills the process, an entry is there or not; a last line that a power failure cut off is
dropped, and a line that is damaged anywhere else is an error. Knows nothing about what it holds.
"""

from __future__ import annotations

import heapq
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from hfcli import files
from hfcli.errors import RunError

Entry = TypeVar("Entry")
SYNC_EVERY = 64  # calls of `append` between two fsyncs: what a power failure may cost


class JsonLog(Generic[Entry]):
    """An append-only file of JSON lines, opened for reading its entries and for adding to them.

    Args:
        path: of the file; made where it is missing.
        begins: the first bytes of every such file; a file with others is not touched.
        entry: a parsed line -> an entry; None for anything that `append` did not write.
        remedy: what to do about a damaged line: a hint for line 1, and one for the others.

    Raises:
        RunError: the path holds something else.
        OSError: it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        begins: bytes,
        entry: Callable[[Any], Entry | None],
        remedy: tuple[str, str],
    ) -> None:
        self.path = path
        self._entry = entry
        self._remedy = remedy
        self._since_sync = 0
        # Without following a link, and without waiting for the other end of a pipe.
        flags = files.open_flags("O_RDWR", "O_CREAT", "O_APPEND", "O_NOFOLLOW", "O_NONBLOCK")
        self._file = os.open(path, flags, 0o666)
        first = b""
        if stat.S_ISREG(os.fstat(self._file).st_mode):
            with path.open("rb") as file:
                first = file.read(len(begins))
        if first != begins[: len(first)] or not stat.S_ISREG(os.fstat(self._file).st_mode):
            self.close()
            raise RunError(f"{path}: is not a file that hfcli wrote", hint="move it away")

    def resume(
        self,
        header: Mapping[str, Any],
        *,
        accepts: Callable[[Mapping[str, Any]], bool],
        keep: Callable[[Entry], None],
    ) -> None:
        """Hand over the entries that are there, and drop the rest: a torn tail, or everything.

        Args:
            header: the first line of a file that is begun.
            accepts: whether the first line of this file is of the same work; it may raise. Asked
                only where there are entries: where nothing is finished, nothing is lost.
            keep: takes the entries, in the order of the file.

        Raises:
            RunError: a line is damaged that is not the last.
            OSError: the disk is full.
        """
        good, torn = 0, 0
        with self.path.open("rb") as file:
            first = file.readline()
            for number, line in enumerate(file, 2):
                one = self._entry(_parsed(line))
                if one is None:
                    torn = torn or number
                    continue
                if good == 0:
                    before = _parsed(first)
                    if not isinstance(before, dict):
                        raise self._damaged(1)
                    if not accepts(before):
                        break
                    good = len(first)
                if torn:
                    raise self._damaged(torn)
                keep(one)
                good += len(line)
        if good:
            os.ftruncate(self._file, good)
        else:
            self.restart(header)

    def restart(self, header: Mapping[str, Any]) -> None:
        """Drop what is there, and begin with this line.

        Raises:
            OSError: the disk is full.
        """
        os.ftruncate(self._file, 0)
        self.append([header])

    def append(self, values: Iterable[Any]) -> None:
        """Write each as one line, all with one system call.

        Raises:
            OSError: the disk is full.
        """
        lines = "".join(f"{json.dumps(value, ensure_ascii=False)}\n" for value in values)
        view = memoryview(lines.encode())
        while view:
            view = view[os.write(self._file, view) :]
        self._since_sync += 1
        if self._since_sync >= SYNC_EVERY:
            os.fsync(self._file)
            self._since_sync = 0

    def close(self) -> None:
        """Close the file; again does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def remove(self) -> None:
        """Close the file and delete it."""
        self.close()  # first: Windows removes no open file
        self.path.unlink(missing_ok=True)

    def _damaged(self, line: int) -> RunError:
        return RunError(f"{self.path}:{line}: is damaged", hint=self._remedy[line > 1])


def _parsed(line: bytes) -> Any:
    """A whole line; None where a power failure left half of one, or zeros."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None


class InOrder(Generic[Entry]):
    """Things that come in the order of finishing -> rows in the order of the input.

    Holds what is early, and nothing else.
    """

    def __init__(self) -> None:
        # (row, sample) is never the same twice, so that entries are not compared.
        self._early: list[tuple[int, int, int, Entry]] = []
        self._row = 0
        self._items: list[Entry] = []

    def push(self, row: int, sample: int, of: int, item: Entry) -> Iterator[list[Entry]]:
        """Yield the items of every row that is complete and next, now that this one is there."""
        heapq.heappush(self._early, (row, sample, of, item))
        while self._early and self._early[0][:2] == (self._row, len(self._items)):
            _row, _sample, wanted, ready = heapq.heappop(self._early)
            self._items.append(ready)
            if len(self._items) == wanted:
                yield self._items
                self._row, self._items = self._row + 1, []
