"""Prompts of a file, each with its solved examples before it, and what their scorers share."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hfcli.data.files import FileOptions, expand, parse_rows
from hfcli.data.inputs import Unchanged
from hfcli.data.sources import check_columns
from hfcli.errors import DataError
from hfcli.evaluation.measure import compute, score_intervals
from hfcli.evaluation.predictions import Prediction, identified, metric_inputs
from hfcli.evaluation.run import EvalOptions, Facts, Scorer, default_folder, load_metrics
from hfcli.metrics import shipped_metrics
from hfcli.recipe.questions import AskedData, QuestionRecipe
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


class PromptScorer(Scorer):
    """What scorers of prompt tasks share: the rows and their metrics."""

    def __init__(self, recipe: QuestionRecipe, options: EvalOptions) -> None:
        super().__init__()
        self.recipe = recipe
        self.options = options

    def read_data(self) -> tuple[Path, str, str]:
        recipe, data = self.recipe, self.recipe.data
        self.questions = read_questions(task=recipe.task, data=data, seed=recipe.seed)
        self.notes += self.questions.skipped.sentences()
        self.metrics = load_metrics(self._metric_names(), self.options)
        self.data = ", ".join(data.test)
        model, name = (
            str(recipe.model.name_or_path),
            f"{Path(data.test[0]).stem}-{recipe.task.name}",
        )
        return default_folder(model, name, name), model, self.data

    def _metric_names(self) -> list[str]:
        """Those that were asked for, or the default ones that can be computed here."""
        if self.recipe.evaluation.metrics:
            return self.recipe.evaluation.metrics
        known, names = shipped_metrics(), self.recipe.task.metrics()
        packages = {name: known[name].package for name in names}
        missing = [n for n, p in packages.items() if p and importlib.util.find_spec(p) is None]
        if missing:
            names_missing = ", ".join(missing)
            self.notes.append(f"{names_missing} left out: pip install 'hfcli[text-metrics]'")
        return [name for name in names if name not in missing]

    def predictions(self, answers: Iterator[Mapping[str, Any]]) -> Iterator[Prediction]:
        """Yield one prediction a row: what it is, the right answer, and what came of it."""
        for item, answer in zip(self.questions.items, answers, strict=True):
            name = item.origin.rpartition("/")[2]
            yield {**identified(name, item.prompt), "gold": item.gold, **answer}

    def review(self, rows: Sequence[Prediction]) -> None:
        errors = [f"{row['id']}: {row['error']}" for row in rows if row["error"] is not None]
        if len(errors) == len(rows):
            raise DataError(f"no row could be answered; the first: {errors[0]}")
        if errors:
            self.notes.append(
                f"{len(errors):,} of {len(rows):,} rows have no answer; the first: {errors[0]}"
            )

    def scores(self, rows: Sequence[Prediction]) -> tuple[dict[str, Any], dict[str, Any]]:
        inputs = metric_inputs(rows, None)
        most = max(len(item.choices) for item in self.questions.items)
        known = {"labels": list(range(most))}  # for metrics that take choices as classes
        values = compute(self.metrics, inputs, known)
        seed = self.recipe.seed
        return values, score_intervals(
            names=values, inputs=inputs, options=known, seed=seed, with_loss=False
        )

    @abstractmethod
    def model_facts(self) -> dict[str, Any]:
        """Return model, revision, device, weights_sha256, and settings beside the task's."""

    def facts(self) -> Facts:
        found = self.model_facts()
        settings = {"task": self.questions.settings(), **found.pop("settings")}
        return Facts(
            task=self.recipe.task.name,
            data=self.data,
            key={
                "weights_sha256": found.pop("weights_sha256"),
                "data_sha256": self.questions.data_sha256,
                "settings": settings,
            },
            unread=self.questions.skipped.skipped,
            skipped_rows=self.questions.skipped.skipped_rows,
            **found,
        )
