"""Files -> questions, each with its solved examples before it. Knows nothing about models."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hfcli.data.files import FileOptions, expand, parse_rows
from hfcli.data.inputs import Unchanged
from hfcli.data.sources import check_columns
from hfcli.errors import DataError
from hfcli.recipe.questions import AskedData
from hfcli.tasks.prepared import RowCounts
from hfcli.tasks.question import Item, Question

Rows = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Questions:
    """What is asked.

    Args:
        task: how rows are put.
        items: in the order of the data.
        pool: solved examples, in the order in which they are taken.
        data_sha256: of the rows by content, wherever they lie and however they are put.
        few_shot_sha256: the same of the examples; None without.
        skipped: rows that cannot be asked and were left out, in otherwise empty counts.
    """

    task: Question
    items: Sequence[Item]
    pool: Sequence[Item]
    data_sha256: str
    few_shot_sha256: str | None
    skipped: RowCounts = field(default_factory=RowCounts)

    def settings(self) -> dict[str, Any]:
        """How rows are put, by content: the examples by their hash, wherever their file lies."""
        settings = self.task.model_dump(mode="json", exclude_none=True, exclude={"few_shot"})
        if self.few_shot_sha256 is not None:
            settings["few_shot_sha256"] = self.few_shot_sha256
        return settings

    def prompts(self) -> Iterator[str]:
        """The prompt of every item, after its examples."""
        for item in self.items:
            yield self.task.with_examples(self.examples(item), item.prompt)

    def examples(self, item: Item) -> list[Item]:
        """The first of the pool that do not ask the same: no row sees its own answer."""
        others = (one for one in self.pool if one.prompt != item.prompt)
        return [one for one, _ in zip(others, range(self.task.num_fewshot), strict=False)]


def read_questions(*, task: Question, data: AskedData, seed: int) -> Questions:
    """Read the rows, and the examples where there are any.

    Args:
        task: says which columns are read.
        data: names the files.
        seed: decides which rows are taken (`max_samples`), and which examples.

    Raises:
        DataError: files that cannot be read, a column that is not there, a row that cannot be
            asked, or too few examples.
        RecipeError: a broken template.
    """
    account = RowCounts()
    rows = _rows(task, data.test, data, account)
    if data.max_samples is not None and data.max_samples < len(rows):
        kept = sorted(random.Random(seed).sample(range(len(rows)), data.max_samples))
        rows = [rows[i] for i in kept]
    items = [task.item(origin, row) for origin, row in rows]
    if task.few_shot is None:
        return Questions(task, items, [], _hash(rows), None, account)
    solved = _rows(task, [task.few_shot], data, RowCounts())
    pool = [task.item(origin, row) for origin, row in solved]
    random.Random(seed).shuffle(pool)
    found = Questions(task, items, pool, _hash(rows), _hash(solved), account)
    for item in items:
        _check_enough(found, item)
    return found


def _rows(task: Question, patterns: Sequence[str], data: AskedData, account: RowCounts) -> Rows:
    options = FileOptions(data.column_names, encoding=data.encoding)
    found: Rows = []
    paths = expand([str(Path(pattern).expanduser()) for pattern in patterns])
    inputs = Unchanged(paths)
    for path in paths:
        for origin, row in parse_rows(path, options):
            problem = row if isinstance(row, DataError) else _problem(task, origin, row)
            if problem is None and not isinstance(row, DataError):
                found.append((origin, row))
            elif problem is not None and data.on_bad_row == "skip":
                account.skip(problem.message)
            elif problem is not None:
                raise problem
    inputs.check()
    if not found:
        raise DataError(f"no row is left: {account.skipped_rows[0]}")
    return found


def _problem(task: Question, origin: str, row: dict[str, Any]) -> DataError | None:
    """Why a row cannot be asked, or None."""
    try:
        check_columns(row, task, origin)
        task.item(origin, row)
    except DataError as e:
        return e
    return None


def _check_enough(questions: Questions, item: Item) -> None:
    wanted, there = questions.task.num_fewshot, len(questions.examples(item))
    if there < wanted:
        others = " that do not ask the same" if there < len(questions.pool) else ""
        raise DataError(
            f"{questions.task.few_shot}: {there} examples{others}, {wanted} are wanted for"
            f" {item.origin}",
            hint="a smaller --num-fewshot, or a larger file",
        )


def _hash(rows: Rows) -> str:
    digest = hashlib.sha256()
    for _, row in rows:
        line = json.dumps(row, ensure_ascii=False, sort_keys=True, default=str)
        digest.update(line.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
