"""What a split of a recipe's data section names -> its rows on disk, checked.

Checks that the columns a task needs are there and hold values. Knows nothing about how splits are
made of each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.data.files import FileOptions, Row, expand, read_rows
from hfcli.data.spool import spool
from hfcli.errors import DataError, did_you_mean
from hfcli.recipe.schema import DataSection
from hfcli.tasks.base import ORIGIN, Task
from hfcli.tasks.question import Question

if TYPE_CHECKING:
    from datasets import Dataset

    from hfcli.data.hub import HubStream

ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Args:
        section: names files, or a data set of the Hub.
        task: says which columns are needed.
        enough: rows that are enough of a split that is streamed; None: all.
        seed: decides which those are.
        offline: forbid the network.
    """

    section: DataSection
    task: Task
    enough: int | None
    seed: int
    offline: bool = False

    def read(self, wanted: Sequence[str]) -> Dataset:
        """The rows of some files, or of some splits of the Hub's data set.

        Raises:
            DataError: anything about them that the task cannot work with.
        """
        section = self.section
        if section.path is None:
            return spool(lambda: self._file_rows(expand(wanted)))
        from hfcli.data.hub import load_hub_split, open_hub_split

        where = f"{section.path} [{'+'.join(wanted)}]"
        named: Any = {
            "path": section.path, "name": section.name, "revision": section.revision,
            "split": "+".join(wanted), "offline": self.offline,
        }  # fmt: skip
        if section.streaming:
            rows = self._streamed(open_hub_split(**named), where)
        else:
            rows = load_hub_split(**named)
            check_columns(rows.column_names, self.task, where)
            rows = rows.select_columns(list(self.task.columns()))
        _check_hub_rows(rows, self.task, where)
        return rows

    def _streamed(self, stream: HubStream, where: str) -> Dataset:
        columns = self.task.columns()

        def read() -> Iterator[Row]:
            for row in stream.read(self.enough, self.seed):
                check_columns(row, self.task, where)
                yield {name: row[name] for name in columns}

        return spool(read, stream.features_of(columns))

    def _file_rows(self, paths: Iterable[Path]) -> Iterator[Row]:
        names = self.section.column_names
        options = FileOptions(tuple(names) if names else None, self.section.sample_by)
        columns = self.task.columns()
        for path in paths:
            for origin, row in read_rows(path, options):
                check_columns(row, self.task, origin)
                problem = self.task.check_row(row)
                if problem is not None:
                    raise DataError(f"{origin}: {problem}")
                yield {**{name: row[name] for name in columns}, ORIGIN: origin}


def _check_hub_rows(rows: Dataset, task: Task, where: str) -> None:
    if not len(rows):
        raise DataError(f"{where}: the split is empty")
    missing = dict.fromkeys(task.columns(), 0)
    for batch in rows.with_format("arrow").iter(ROWS_AT_ONCE):
        for name in missing:
            missing[name] += batch[name].null_count
    for name, count in missing.items():
        if count:
            raise DataError(f"{where}: column {name!r} is empty in {count} row(s)")


def check_columns(present: Iterable[str], task: Task | Question, origin: str) -> None:
    """See that a row has the columns that a task reads.

    Raises:
        DataError: it lacks one; the message says which key names another.
    """
    present = list(present)
    for name in task.columns():
        if name in present:
            continue
        near = did_you_mean(name, present)
        key = next((k for k, v in task if v == name), task.first_key)
        raise DataError(
            f"{origin}: no column {name!r}; it has {present}",
            hint=(f"did you mean {near}? " if near else "")
            + task.how_to_name.format(key=key, flag=key.replace("_", "-")),
        )
