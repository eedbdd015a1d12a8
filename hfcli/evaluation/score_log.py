"""What an evaluation has scored so far, on disk, so that a killed one goes on from there.

One JSON line for what the scores depend on, then one a scored feature, written with one system
call a batch. Numbers are written so that they read back as the same numbers. Knows nothing about
models.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from hfcli import files
from hfcli.errors import RunError
from hfcli.tasks.base import Reduced

FILE = ".scores.partial"


class ScoreLog:
    """The log in a folder; use it as a context.

    Args:
        folder: of the evaluation.
        key: everything the scores depend on, by content; another key begins anew.

    Attributes:
        done: feature number -> its reduced row.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self.done: dict[int, tuple[float, ...]] = {}
        good = self._read(json.loads(json.dumps(key)))
        flags = files.open_flags("O_RDWR", "O_CREAT", "O_APPEND")
        self._file = os.open(self.path, flags, 0o666)
        os.ftruncate(self._file, good)
        if good == 0:
            self._append([json.dumps(key)])

    def __enter__(self) -> ScoreLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def add(self, indices: Sequence[int], rows: Reduced) -> None:
        """Keep the rows of a batch."""
        pairs = zip(indices, rows, strict=True)
        self._append([json.dumps([i, *row]) for i, row in pairs])

    def remove(self) -> None:
        """Delete the file: all of it stands in the predictions now."""
        self._close()  # Windows removes no open file
        self.path.unlink()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, lines: Sequence[str]) -> None:
        view = memoryview("".join(f"{line}\n" for line in lines).encode())
        while view:
            view = view[os.write(self._file, view) :]

    def _read(self, key: Any) -> int:
        """Fill `done`; the number of bytes that are good."""
        if not os.path.lexists(self.path):
            return 0
        if not self.path.is_file():
            raise RunError(f"{self.path}: is not a file", hint="move it away")
        good, torn = 0, 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                told = _parsed(line)
                if number == 1 and isinstance(told, dict):
                    if told != key:
                        return 0
                elif number > 1 and _is_row(told):
                    if torn:
                        raise self._damaged(torn)
                    self.done[told[0]] = tuple(told[1:])
                else:
                    torn = torn or number  # a power failure cut it off, if it is the last one
                    continue
                good += len(line)
        return good

    def _damaged(self, line: int) -> RunError:
        return RunError(
            f"{self.path}:{line}: is damaged",
            hint="without this file, all rows are scored again",
        )


def _parsed(line: bytes) -> Any:
    """What a whole line says; None where half of one is left, or zeros."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None


def _is_row(told: Any) -> bool:
    """Whether it is the number of a feature, and numbers."""
    numbers = isinstance(told, list) and all(type(n) in (int, float) for n in told)
    return numbers and len(told) > 1 and type(told[0]) is int
