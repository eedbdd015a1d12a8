"""A recipe's data section -> checked splits.

Checks that the columns a task needs are there and hold values, makes a validation split where
none is given (seeded, stratified), and keeps at most `max_samples` rows. A split is a
`datasets.Dataset` with the task's columns and, for local files, `ORIGIN`. Knows nothing about
models or tokens.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hfcli.data.files import FileOptions, Row, expand, read_rows
from hfcli.data.spool import spool
from hfcli.errors import DataError, did_you_mean
from hfcli.recipe.schema import DataSection
from hfcli.tasks.base import ORIGIN, Task

if TYPE_CHECKING:
    from datasets import Dataset

SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """The splits of a run by name, and how they came about."""

    by_name: dict[str, Dataset]
    notes: list[str] = field(default_factory=list)

    def get(self, name: str) -> Dataset:
        """The split called `name`.

        Raises:
            DataError: there is none.
        """
        if name not in self.by_name:
            raise DataError(
                f"the data has no {name} split", hint=f"it has: {', '.join(self.by_name)}"
            )
        return self.by_name[name]


def load_splits(*, section: DataSection, task: Task, seed: int, offline: bool = False) -> Splits:
    """Read every split that the section names.

    Args:
        section: validated data section, its files as absolute paths.
        task: says which columns are needed and what to stratify by.
        seed: decides the validation split and `max_samples`.
        offline: forbid the network for Hub data sets.

    Raises:
        DataError: anything about the data that the task cannot work with.
    """
    by_name: dict[str, Dataset] = {}
    for name in SPLIT_NAMES:
        wanted = getattr(section, name)
        if wanted:
            by_name[name] = _load(section, wanted, task, offline)
    notes: list[str] = []
    if "train" in by_name and "validation" not in by_name:
        train, validation = _hold_out(by_name["train"], section, task, seed)
        by_name |= {"train": train, "validation": validation}
        share = f"{section.validation_size:.0%} of the training data"
        how = "the end of every text" if section.validation_from == "end" else f"seed {seed}"
        notes.append(f"validation split made from {share} ({how}): {len(validation)} rows")
    if section.max_samples is not None:
        limit = section.max_samples
        by_name = {k: _sample(v, limit, seed) for k, v in by_name.items()}
    return Splits(by_name, notes)


def _load(section: DataSection, wanted: Sequence[str], task: Task, offline: bool) -> Dataset:
    if section.path is not None:
        from hfcli.data.hub import load_hub_split

        rows = load_hub_split(
            path=section.path,
            name=section.name,
            revision=section.revision,
            split="+".join(wanted),
            offline=offline,
        )
        where = f"{section.path} [{'+'.join(wanted)}]"
        _check_columns(rows.column_names, task, where)
        rows = rows.select_columns(list(task.columns()))
        _check_hub_rows(rows, task, where)
        return rows
    options = FileOptions(
        tuple(section.column_names) if section.column_names else None, section.sample_by
    )
    return _from_files(expand(wanted), options, task)


def _check_hub_rows(rows: Dataset, task: Task, where: str) -> None:
    if not len(rows):
        raise DataError(f"{where}: the split is empty")
    for name in task.columns():
        missing = sum(value is None for value in rows[name])
        if missing:
            raise DataError(f"{where}: column {name!r} is empty in {missing} row(s)")


def _from_files(paths: Sequence[Path], options: FileOptions, task: Task) -> Dataset:
    def read() -> Iterator[Row]:
        for path in paths:
            for origin, row in read_rows(path, options):
                _check_columns(row, task, origin)
                problem = task.check_row(row)
                if problem is not None:
                    raise DataError(f"{origin}: {problem}")
                yield {**{name: row[name] for name in task.columns()}, ORIGIN: origin}

    return spool(read)


def _check_columns(present: Iterable[str], task: Task, origin: str) -> None:
    present = list(present)
    for name in task.columns():
        if name in present:
            continue
        near = did_you_mean(name, present)
        key = next((k for k, v in task if v == name), "text_column")
        raise DataError(
            f"{origin}: no column {name!r}; it has {present}",
            hint=(f"did you mean {near}? " if near else "")
            + f"set task.{key} to the right one; if the file has no header line, name its"
            " columns with data.column_names",
        )


def _hold_out(
    rows: Dataset, section: DataSection, task: Task, seed: int
) -> tuple[Dataset, Dataset]:
    if section.validation_from == "end":
        return _split_texts(rows, task.columns()[0], section.validation_size)
    count = len(rows)
    held_out = math.ceil(count * section.validation_size)  # as scikit-learn rounds
    if round(count * section.validation_size) < 1 or held_out >= count:
        raise DataError(
            f"{count} training row(s) are too few to hold out {section.validation_size:.0%}",
            hint="give data.validation, or data.validation_from: end to cut each text",
        )
    from sklearn.model_selection import train_test_split

    by = task.stratify_by()
    labels = [str(label) for label in rows[by]] if by else None
    _check_stratified(labels, count, section.validation_size)
    kept, held = train_test_split(
        range(count), test_size=section.validation_size, random_state=seed, stratify=labels
    )
    return rows.select(sorted(kept)), rows.select(sorted(held))


def _check_stratified(labels: Sequence[str] | None, count: int, size: float) -> None:
    if labels is None:
        return
    counts = Counter(labels)
    rare = [label for label, n in counts.items() if n < 2]
    if rare:
        raise DataError(
            f"label(s) {sorted(rare)} have one row only, a stratified split needs two",
            hint="add rows, or give data.validation",
        )
    if count * size < len(counts) or count * (1 - size) < len(counts):
        raise DataError(
            f"{count} rows are too few to hold out {size:.0%} with every one of"
            f" {len(counts)} labels on both sides",
            hint="raise data.validation_size, or give data.validation",
        )


def _split_texts(rows: Dataset, column: str, size: float) -> tuple[Dataset, Dataset]:
    """Cut the last `size` of the characters of every text, at a line end or a space near it."""
    heads, tails = [], []
    for text in rows[column]:
        cut = int(len(text) * (1 - size))
        line = text.rfind("\n", int(cut * 0.99), cut)
        space = text.rfind(" ", int(cut * 0.9), cut)
        if max(line, space) > 0:
            cut = (line if line > 0 else space) + 1
        heads.append(text[:cut])
        tails.append(text[cut:])
    base = rows.remove_columns([column])
    return base.add_column(column, heads), base.add_column(column, tails)


def _sample(rows: Dataset, limit: int, seed: int) -> Dataset:
    if len(rows) <= limit:
        return rows
    return rows.shuffle(seed=seed).select(range(limit))
