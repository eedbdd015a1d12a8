"""Files -> what their columns hold: how many values, of which kinds, how different, how long.

One pass over the rows; of the texts themselves only a seeded sample stays, and the longest row.
Knows nothing about tasks.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hfcli.data.files import FileOptions, Row, parse_rows
from hfcli.data.parsed import is_nothing
from hfcli.data.raw_files import FileName
from hfcli.errors import DataError

MAX_ROWS = 200_000  # more rows hardly change what is found, and a million take ten seconds
MAX_DISTINCT = 1_000  # a column with more different values is not a column of labels
SAMPLE = 1_000
LONGEST_VALUE = 1_000  # characters of a value that are compared
_NAME = re.compile(r"[^\W\d][\w.-]*(?: [\w.-]+){0,2}")  # up to three words


@dataclass
class Column:
    """What was seen in one column.

    Args:
        name: its name.
        kinds: type name (str, int, bool, float, list, dict) -> values.
        missing: file and line of the first row without a value, or None.
        blank: file and line of the first row with nothing but white space, or None.
        values: different values that are not blank, as text -> rows.
        many: there are more than `MAX_DISTINCT` of them, and not all were counted.
        characters: of all its texts together.
    """

    name: str
    kinds: Counter[str] = field(default_factory=Counter)
    missing: str | None = None
    blank: str | None = None
    values: Counter[str] = field(default_factory=Counter)
    many: bool = False
    characters: int = 0

    @property
    def is_text(self) -> bool:
        """Whether every value is a text."""
        return set(self.kinds) == {"str"}

    @property
    def mean_length(self) -> float:
        """Characters of a text on average."""
        return self.characters / max(self.kinds["str"], 1)

    def see(self, value: Any, origin: str) -> None:
        """Take note of one value."""
        if value is None or value != value:  # NaN, which is what pandas writes for nothing
            self.missing = self.missing or origin
            return
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # pandas makes 1.0 of 1 where another row has no value
        self.kinds[type(value).__name__] += 1
        if isinstance(value, str):
            self.characters += len(value)
            if not value.strip():
                self.blank = self.blank or origin
                return
        if not self.many and isinstance(value, str | int | float):
            self.values[str(value)[:LONGEST_VALUE]] += 1
            self.many = len(self.values) > MAX_DISTINCT

    def describe(self) -> str:
        """`str; 4 different values`."""
        kinds = ", ".join(sorted(self.kinds)) or "empty"
        more = "more than " if self.many else ""
        return f"{kinds}; {more}{min(len(self.values), MAX_DISTINCT):,} different values"


@dataclass
class Profile:
    """What was seen in all rows.

    Args:
        rows: rows seen.
        complete: whether these were all rows there are.
        columns: by name, in the order of the files.
        sample: some rows, chosen by a fixed seed, and the longest.
        suffixes: of the files.
        left_out: rows that cannot be read or lack a value, and that were to be left out.
    """

    rows: int
    complete: bool
    columns: dict[str, Column]
    sample: list[Row]
    suffixes: frozenset[str]
    left_out: int = 0

    def describe(self) -> str:
        """Every column with its kinds and how many different values it has."""
        return ", ".join(f"{c.name} ({c.describe()})" for c in self.columns.values())


def profile(
    paths: Sequence[Path],
    options: FileOptions,
    *,
    skip_bad_rows: bool = False,
    needed: Collection[str] = (),
) -> Profile:
    """Read files, up to `MAX_ROWS` rows of them.

    Args:
        paths: of the files.
        options: how they are read.
        skip_bad_rows: go on behind a row that cannot be read.
        needed: columns whose lack makes a row one to leave out.

    Raises:
        DataError: a file cannot be read, or its header line looks like a row.
    """
    columns: dict[str, Column] = {}
    sample = _Sample()
    first = None
    bad: list[DataError] = []
    rows = _all_rows(paths, options, bad if skip_bad_rows else None)
    lacking = 0
    for origin, row in itertools.islice(rows, MAX_ROWS):
        if any(is_nothing(row.get(name)) for name in needed):
            lacking += 1
            continue
        first = first or origin
        for name in row:
            if name not in columns:
                columns[name] = Column(name, missing=first if sample.seen else None)
        for name, column in columns.items():
            column.see(row.get(name), origin)
        sample.see(row)
    if not sample.seen and bad:
        raise bad[0]
    left_out = lacking + len(bad)
    if options.column_names is None:
        _check_header(columns, paths[0])
    suffixes = frozenset(FileName.of(path).suffix for path in paths)
    complete = next(rows, None) is None
    return Profile(sample.seen, complete, columns, sample.rows(), suffixes, left_out)


def _all_rows(
    paths: Sequence[Path], options: FileOptions, bad: list[DataError] | None
) -> Iterator[tuple[str, Row]]:
    for path in paths:
        for origin, row in parse_rows(path, options):
            if not isinstance(row, DataError):
                yield origin, row
            elif bad is None:
                raise row
            else:
                bad.append(row)


class _Sample:
    """A uniform sample of the rows (reservoir sampling, Vitter's algorithm R), and the longest."""

    def __init__(self) -> None:
        self.seen = 0
        self._kept: list[Row] = []
        self._longest: Row = {}
        self._length = -1
        self._random = random.Random(0)

    def see(self, row: Row) -> None:
        self.seen += 1
        if len(self._kept) < SAMPLE:
            self._kept.append(row)
        elif (place := self._random.randrange(self.seen)) < SAMPLE:
            self._kept[place] = row
        length = sum(len(str(value)) for value in row.values())
        if length > self._length:
            self._longest, self._length = row, length

    def rows(self) -> list[Row]:
        kept = any(row is self._longest for row in self._kept)
        return self._kept if kept else [*self._kept, self._longest]


def _check_header(columns: dict[str, Column], path: Path) -> None:
    """A header line that is one more row has a text for a name, or a name that is also a value."""
    if FileName.of(path).suffix not in (".csv", ".tsv") or all(map(_NAME.fullmatch, columns)):
        return
    if any(c.name in c.values or len(c.name.split()) > 8 for c in columns.values()):
        names = ", ".join(repr(name[:40]) for name in columns)
        raise DataError(
            f"{path}:1: looks like a row, not like the names of columns ({names})",
            hint="name the columns with --column-names, such as --column-names text,label",
        )
