"""A recipe's data section -> checked splits.

Makes a validation split where none is given (seeded, stratified), and keeps at most `max_samples`
rows. A split is a `datasets.Dataset` on disk with the task's columns and, for local files,
`ORIGIN`; memory holds a few bytes a row. Knows nothing about models or tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hfcli.data.arrow_file import Row, write_rows
from hfcli.data.sources import ROWS_AT_ONCE, Source
from hfcli.errors import DataError
from hfcli.recipe.schema import DataSection
from hfcli.tasks.base import RowCounts, Task

if TYPE_CHECKING:
    from datasets import Dataset

SPLIT_NAMES = ("train", "validation", "test")
MOST_NAMES = 5  # of labels, in a sentence


@dataclass(frozen=True)
class Splits:
    """The splits of a run by name, and how they came about.

    Args:
        by_name: the rows.
        notes: sentences for the user.
        skipped: rows left out of what each split was read from, in otherwise empty counts.
    """

    by_name: dict[str, Dataset]
    notes: list[str] = field(default_factory=list)
    skipped: dict[str, RowCounts] = field(default_factory=dict)

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
    wanted = {name: getattr(section, name) for name in SPLIT_NAMES if getattr(section, name)}
    hold_out = "train" in wanted and "validation" not in wanted
    limit = section.max_samples
    enough = limit
    if limit is not None and hold_out and section.validation_from == "random":
        enough = math.ceil(limit / (1 - section.validation_size))
    notes: list[str] = []
    skipped = {name: RowCounts() for name in wanted}
    by_name = {}
    for name, sources in wanted.items():
        tell = _teller(notes, name)
        source = Source(section, task, enough, seed, offline, skipped[name], tell)
        by_name[name] = source.read(sources)
    if hold_out and section.validation_from == "end":
        # Before the texts are cut, so that both parts are those of the same texts.
        by_name = _sampled(by_name, limit, seed)
    if hold_out:
        train, validation, told = _hold_out(by_name["train"], section, task, seed)
        by_name |= {"train": train, "validation": validation}
        share = f"{section.validation_size:.0%} of the training data"
        how = "the end of every text" if section.validation_from == "end" else f"seed {seed}"
        notes.append(f"validation split made from {share} ({how}): {len(validation)} rows")
        notes += told
    return Splits(_sampled(by_name, limit, seed), notes, skipped)


def _teller(notes: list[str], split: str) -> Callable[[str], None]:
    """Takes sentences about a split's files, each once."""

    def tell(sentence: str) -> None:
        note = f"{split} data: {sentence}"
        if note not in notes:
            notes.append(note)

    return tell


def _hold_out(
    rows: Dataset, section: DataSection, task: Task, seed: int
) -> tuple[Dataset, Dataset, list[str]]:
    """Training rows, held out rows, and sentences about labels that stay in training."""
    if section.validation_from == "end":
        return *_split_texts(rows, task.columns()[0], section.validation_size), []
    count = len(rows)
    held_out = math.ceil(count * section.validation_size)  # as scikit-learn rounds
    if round(count * section.validation_size) < 1 or held_out >= count:
        raise DataError(
            f"{count} training row(s) are too few to hold out {section.validation_size:.0%}",
            hint="give data.validation"
            + (", or data.validation_from: end to cut each text" if task.can_be_cut() else ""),
        )
    import numpy as np
    from sklearn.model_selection import train_test_split

    by = task.stratify_by()
    labels, drawn, single = None, np.arange(count), []
    if by is not None:
        names, numbers = _labels(rows, by)
        counts = np.bincount(numbers)
        single = [name for name, n in zip(names, counts, strict=True) if n == 1]
        drawn = np.flatnonzero(counts[numbers] > 1)
        labels = numbers[drawn]
        several = {name: n for name, n in zip(names, counts, strict=True) if n > 1}
        _check_stratified(several, section)
    kept, held = train_test_split(
        drawn, test_size=section.validation_size, random_state=seed, stratify=labels
    )
    kept = np.setdiff1d(np.arange(count), held)  # a label's only row is learned from
    return rows.select(kept), rows.select(np.sort(held)), _single_row_notes(single)


def _single_row_notes(labels: Sequence[str]) -> list[str]:
    if not labels:
        return []
    more = f" and {len(labels) - MOST_NAMES} more" if len(labels) > MOST_NAMES else ""
    named = ", ".join(map(repr, labels[:MOST_NAMES]))
    return [
        f"label(s) {named}{more} have one row only: it stays in training, and the validation split"
        " has none of them"
    ]


def _labels(rows: Dataset, column: str) -> tuple[list[str], Any]:
    """The sorted names of the labels, and for each row the number of its own, (rows,) int32."""
    import numpy as np

    seen: dict[str, int] = {}
    numbers = np.empty(len(rows), dtype=np.int32)
    at = 0
    for batch in rows.select_columns([column]).iter(ROWS_AT_ONCE):
        for label in batch[column]:
            numbers[at] = seen.setdefault(str(label), len(seen))
            at += 1
    names = sorted(seen)
    place = np.empty(len(names), dtype=np.int32)
    place[[seen[name] for name in names]] = np.arange(len(names))
    return names, place[numbers]


def _check_stratified(counts: Mapping[str, int], section: DataSection) -> None:
    if not counts:
        raise DataError(
            "every label has one row only, a stratified split needs two",
            hint="add rows, or give data.validation",
        )
    count, size = sum(counts.values()), section.validation_size
    if count * size < len(counts) or count * (1 - size) < len(counts):
        raise DataError(
            f"{count} rows are too few to hold out {size:.0%} with every one of"
            f" {len(counts)} labels on both sides",
            hint="raise data.validation_size, or give data.validation",
        )


def _split_texts(rows: Dataset, column: str, size: float) -> tuple[Dataset, Dataset]:
    """Cut the last `size` of the characters of every text, at a line end or a space near it."""

    def head(text: str) -> str:
        return text[: _cut(text, size)]

    def tail(text: str) -> str:
        return text[_cut(text, size) :]

    return _mapped(rows, column, head), _mapped(rows, column, tail)


def _cut(text: str, size: float) -> int:
    cut = int(len(text) * (1 - size))
    line = text.rfind("\n", int(cut * 0.99), cut)
    space = text.rfind(" ", int(cut * 0.9), cut)
    if max(line, space) > 0:
        cut = (line if line > 0 else space) + 1
    return cut


def _mapped(rows: Dataset, column: str, change: Callable[[str], str]) -> Dataset:
    """The rows with one column changed, on disk; one text is in memory at a time."""

    def read() -> Iterator[Row]:
        for batch in rows.with_format("arrow").iter(ROWS_AT_ONCE):
            for cells in zip(*batch.columns, strict=True):
                row = {n: cell.as_py() for n, cell in zip(batch.column_names, cells, strict=True)}
                yield {**row, column: change(row[column])}

    return write_rows(read, rows.features)


def _sampled(by_name: dict[str, Dataset], limit: int | None, seed: int) -> dict[str, Dataset]:
    if limit is None:
        return by_name
    return {
        name: rows.shuffle(seed=seed).select(range(limit)) if len(rows) > limit else rows
        for name, rows in by_name.items()
    }
