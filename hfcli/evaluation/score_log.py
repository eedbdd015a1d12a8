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
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
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
        os.close(self._file)

    def add(self, indices: Sequence[int], rows: Reduced) -> None:
        """Keep the rows of a batch."""
        pairs = zip(indices, rows, strict=True)
        self._append([json.dumps([i, *row]) for i, row in pairs])

    def remove(self) -> None:
        """Delete the file: all of it stands in the predictions now."""
        self.path.unlink()

    def _append(self, lines: Sequence[str]) -> None:
        view = memoryview("".join(f"{line}\n" for line in lines).encode())
        while view:
            view = view[os.write(self._file, view) :]

    def _read(self, key: Any) -> int:
        """Fill `done`; the number of bytes that are good."""
        if not self.path.is_file():
            return 0
        good = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # a power failure cut it off
                told = json.loads(line)
                if good == 0:
                    if told != key:
                        return 0
                else:
                    self.done[int(told[0])] = tuple(told[1:])
                good += len(line)
        return good
