"""What a split of a recipe's data section names -> its rows on disk, checked.

Checks that the columns a task needs are there and hold values. Knows nothing about how splits are
made of each other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.data.arrow_file import write_rows
from hfcli.data.files import FileOptions, Row, expand, parse_rows
from hfcli.data.parsed import is_nothing
from hfcli.errors import DataError, did_you_mean
from hfcli.origins import as_typed
from hfcli.recipe.schema import DataSection
from hfcli.shown import shown
from hfcli.tasks.base import ORIGIN, RowCounts, Task
from hfcli.tasks.question import Question

if TYPE_CHECKING:
    from datasets import Dataset

    from hfcli.data.hub import HubStream

ROWS_AT_ONCE = 1000
Read = tuple[str, Row | DataError]  # where a row stands, and the row or why it cannot be read


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Args:
        section: names files, or a data set of the Hub.
        task: says which columns are needed.
        enough: rows that are enough of a split that is streamed; None: all.
        seed: decides which those are.
        offline: forbid the network.
        account: rows that are skipped are counted and listed here.
        tell: takes sentences about how files are read.
    """

    section: DataSection
    task: Task
    enough: int | None
    seed: int
    offline: bool = False
    account: RowCounts = field(default_factory=RowCounts)
    tell: Callable[[str], None] = lambda told: None

    def read(self, wanted: Sequence[str]) -> Dataset:
        """The rows of some files, or of some splits of the Hub's data set.

        Raises:
            DataError: anything about them that the task cannot work with.
        """
        section = self.section
        if section.path is None:
            return write_rows(lambda: self._file_rows(expand(wanted)))
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
            rows = rows.select_columns(self._present(rows.column_names))
        if not len(rows):
            raise DataError(f"{where}: the split is empty")
        if not section.streaming and (section.on_bad_row == "skip" or self.task.changes_rows):
            return self._checked(rows, where)
        _check_hub_rows(rows, self.task, where)
        return rows

    def _present(self, names: Iterable[str]) -> list[str]:
        """The columns that the task reads, of those that are there."""
        more = {*self.task.more_columns()} & {*names}
        return [*self.task.columns(), *sorted(more)]

    def _checked(self, rows: Dataset, where: str) -> Dataset:
        """Rows of the Hub, checked and changed one by one."""

        def read() -> Iterator[Row]:
            found = ((f"{where}: row {i}", dict(row)) for i, row in enumerate(rows))
            for _, row in self._usable(found):
                yield row

        return write_rows(read, None if self.task.changes_rows else rows.features)

    def _streamed(self, stream: HubStream, where: str) -> Dataset:
        columns = self.task.columns()
        checks = self.section.on_bad_row == "skip" or self.task.changes_rows

        def read() -> Iterator[Row]:
            found = enumerate(stream.read(self.enough, self.seed))
            if checks:
                yield from (
                    row for _, row in self._usable((f"{where}: row {i}", r) for i, r in found)
                )
                return
            for _, row in found:
                check_columns(row, self.task, where)
                yield {name: row[name] for name in columns}

        return write_rows(read, None if self.task.changes_rows else stream.features_of(columns))

    def _file_rows(self, paths: Sequence[Path]) -> Iterator[Row]:
        options = options_of(self.section, self.tell)
        for origin, row in self._usable(r for path in paths for r in parse_rows(path, options)):
            yield {**row, ORIGIN: origin}

    def _usable(self, found: Iterator[Read]) -> Iterator[tuple[str, Row]]:
        """The rows as the task stores them; others are an error, or counted and left out."""
        task, left = self.task, False
        self.account.skipped, self.account.skipped_rows = 0, []  # write_rows may begin again
        for origin, row in found:
            problem = row if isinstance(row, DataError) else problem_of(row, task, origin)
            if problem is None and not isinstance(row, DataError):
                left = True
                yield origin, task.stored(row)
            elif problem is not None and self._may_skip(row):
                self.account.skip(problem.message)
            elif problem is not None:
                raise self._counted(problem, row, found)
        if not left:
            raise DataError(
                f"no row is left: {self.account.skipped_rows[0]}, and"
                f" {self.account.skipped - 1:,} more"
            )

    def _may_skip(self, row: Row | DataError) -> bool:
        if self.section.on_bad_row != "skip":
            return False
        return isinstance(row, DataError) or lacking(row, self.task)

    def _counted(self, problem: DataError, row: Row | DataError, rest: Iterator[Read]) -> DataError:
        """The error of the first bad row, with the number of those after it that lack the same."""
        if isinstance(row, DataError) or not lacking(row, self.task):
            return problem
        more = others = 0
        with contextlib.suppress(DataError):  # the first is told; this one when that is mended
            for _, other in rest:
                others += 1
                more += not isinstance(other, DataError) and lacking(other, self.task)
        if more == others and any(name not in row for name in self.task.columns()):
            return problem  # the column is missing, not its values
        tail = f" (and {more:,} more row(s) lack a value)" if more else ""
        hint = (
            problem.hint
            or f"complete the rows, or leave them out: {as_typed('data.on_bad_row')}: skip"
        )
        return DataError(f"{problem.message}{tail}", hint=hint)


def options_of(section: DataSection, tell: Callable[[str], None]) -> FileOptions:
    """How the files of a recipe are read."""
    names = section.column_names
    return FileOptions(
        column_names=tuple(names) if names else None,
        sample_by=section.sample_by,
        encoding=section.encoding,
        quoting=section.quoting,
        tell=tell,
    )


def problem_of(row: Row, task: Task, origin: str) -> DataError | None:
    """Why a task cannot use a row, or None."""
    try:
        check_columns(row, task, origin)
    except DataError as e:
        return e
    problem = task.check_row(row)
    return None if problem is None else DataError(f"{origin}: {problem}")


def lacking(row: Row, task: Task) -> bool:
    """Whether a column that the task reads is missing or holds nothing."""
    return any(is_nothing(row.get(name)) for name in task.columns())


def _check_hub_rows(rows: Dataset, task: Task, where: str) -> None:
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
            f"{origin}: no column {name!r}; it has {shown(present)}",
            hint=(f"did you mean {near}? " if near else "")
            + task.how_to_name.format(
                key=as_typed(f"task.{key}"),
                flag=key.replace("_", "-"),
                names=as_typed("data.column_names"),
            ),
        )
