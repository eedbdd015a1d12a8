"""Files -> questions, each with its solved examples before it. Knows nothing about models."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli.data.files import FileOptions, expand, read_rows
from hfcli.data.sources import check_columns
from hfcli.errors import DataError
from hfcli.recipe.questions import AskedData
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
    """

    task: Question
    items: Sequence[Item]
    pool: Sequence[Item]
    data_sha256: str
    few_shot_sha256: str | None

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
    rows = _rows(task, data.test, data.column_names)
    if data.max_samples is not None and data.max_samples < len(rows):
        kept = sorted(random.Random(seed).sample(range(len(rows)), data.max_samples))
        rows = [rows[i] for i in kept]
    items = [task.item(origin, row) for origin, row in rows]
    if task.few_shot is None:
        return Questions(task, items, [], _hash(rows), None)
    solved = _rows(task, [task.few_shot], data.column_names)
    pool = [task.item(origin, row) for origin, row in solved]
    random.Random(seed).shuffle(pool)
    found = Questions(task, items, pool, _hash(rows), _hash(solved))
    for item in items:
        _check_enough(found, item)
    return found


def _rows(task: Question, patterns: Sequence[str], names: Sequence[str] | None) -> Rows:
    options = FileOptions(tuple(names) if names else None)
    found: Rows = []
    for path in expand([str(Path(pattern).expanduser()) for pattern in patterns]):
        for origin, row in read_rows(path, options):
            check_columns(row, task, origin)
            found.append((origin, row))
    return found


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
