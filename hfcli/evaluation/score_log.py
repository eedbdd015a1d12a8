"""What an evaluation has scored so far, on disk, so that a killed one goes on from there.

One JSON line for what the scores depend on, then one a scored feature (`hfcli.journal`). Numbers
are written so that they read back as the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from hfcli.errors import RunError
from hfcli.journal import JsonLog
from hfcli.tasks.base import Reduced

FILE = ".scores.partial"
REMEDY = "without this file, all rows are scored again"


class ScoreLog:
    """The log in a folder; use it as a context.

    Args:
        folder: of the evaluation.
        key: everything the scores depend on, by content; another key begins anew.

    Attributes:
        done: feature number -> its reduced row.

    Raises:
        RunError: the log is damaged, or is not hfcli's.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self.done: dict[int, tuple[float, ...]] = {}
        self._log = JsonLog(folder / FILE, begins=b"", entry=_scored, remedy=(REMEDY, REMEDY))
        wanted = json.loads(json.dumps(key))
        try:
            self._log.resume(key, accepts=lambda header: header == wanted, keep=self._keep)
        except (RunError, OSError):
            self._log.close()
            raise

    def _keep(self, scored: tuple[int, tuple[float, ...]]) -> None:
        self.done[scored[0]] = scored[1]

    def __enter__(self) -> ScoreLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._log.close()

    def add(self, indices: Sequence[int], rows: Reduced) -> None:
        """Keep the rows of a batch."""
        self._log.append([i, *row] for i, row in zip(indices, rows, strict=True))

    def remove(self) -> None:
        """Delete the file: all of it stands in the predictions now."""
        self._log.remove()


def _scored(line: Any) -> tuple[int, tuple[float, ...]] | None:
    """The number of a feature, and its numbers; None for anything else."""
    numbers = isinstance(line, list) and all(type(n) in (int, float) for n in line)
    if numbers and len(line) > 1 and type(line[0]) is int:
        return line[0], tuple(line[1:])
    return None
