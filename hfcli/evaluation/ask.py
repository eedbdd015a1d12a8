"""Questions of a file -> the scores of a model's answers, every answer beside them.

How a model answers is an `Answer`, which the caller brings: texts by a bulk run of
`hfcli generate`, choices by `hfcli.evaluation.choices`. The scores are computed from the
predictions' file, as everywhere.
"""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import hfcli
from hfcli.errors import DataError
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.evaluation.gates import check_names
from hfcli.evaluation.measure import compute
from hfcli.evaluation.outcomes import (
    PREDICTIONS_FILE,
    TEXT_SHOWN,
    Prediction,
    read_predictions,
    write_predictions,
)
from hfcli.evaluation.predictions import metric_inputs
from hfcli.evaluation.questions import Questions, read_questions
from hfcli.evaluation.run import PACKAGES, EvalOptions
from hfcli.metrics import shipped_metrics
from hfcli.metrics.modules import PlainMetric, load_metric
from hfcli.process import check_single_process
from hfcli.recipe.questions import QuestionRecipe
from hfcli.results import EvalResult, Listener, Note
from hfcli.statistics.intervals import intervals
from hfcli.tasks.question import Item


@dataclass(frozen=True)
class Answers:
    """What a model answered, and everything that its answers depend on.

    Args:
        rows: of each item its prediction and what else metrics read, and `error`: why there is
            no answer, or None. None instead of all: the predictions are there already.
        settings: beside task, weights and data.
        notes: what a user should know.
        when_written: called when the rows stand in the predictions, and nothing else is needed.
    """

    rows: Sequence[Mapping[str, Any]] | None
    model: str
    revision: str | None
    device: str
    weights_sha256: str
    settings: dict[str, Any]
    notes: list[str]
    when_written: Callable[[], None] = lambda: None


class Answer(Protocol):
    """Puts questions to a model; what it has finished survives a kill, in `folder`.

    It takes the folder as soon as it knows everything that its answers depend on.
    """

    def __call__(self, questions: Questions, folder: EvaluationFolder) -> Answers: ...


def ask(
    *, recipe: QuestionRecipe, answer: Answer, listener: Listener, options: EvalOptions
) -> EvalResult:
    """Ask the questions of a file and score the answers.

    Args:
        recipe: validated.
        answer: how the recipe's model answers.
        listener: gets notes.
        options: how it is started.

    Raises:
        DataError: the files cannot be asked, or no row has an answer.
        ModelError, RunError: see `hfcli.errors`.
    """
    check_single_process()
    task = recipe.task
    questions = read_questions(task=task, data=recipe.data, seed=recipe.seed)
    names, missing = _metrics(recipe)
    modules = {
        name: load_metric(name, offline=options.offline, allow_remote=options.allow_remote_metric)
        for name in names
    }
    plain = all(isinstance(module, PlainMetric) for module in modules.values())
    if options.gates is not None and plain:  # other modules name their values afterwards
        check_names(options.gates, names)
    data, name = ", ".join(recipe.data.test), str(recipe.model.name_or_path)
    with options.folder(_default_folder(recipe), name, data) as folder:
        start = time.perf_counter()
        answers = answer(questions, folder)
        seconds = time.perf_counter() - start
        if answers.rows is not None:
            write_predictions(folder.path, _predictions(questions.items, answers.rows))
            folder.keep()
            answers.when_written()
        scored = list(read_predictions(folder.path / PREDICTIONS_FILE))
        n_rows = sum(row["error"] is None for row in scored)
        notes = [
            *questions.skipped.sentences(),
            *missing,
            *answers.notes,
            *_unscored(scored, n_rows),
        ]
        for note in notes:
            listener(Note(note))
        inputs = metric_inputs(scored, None)
        most = max(len(item.choices) for item in questions.items)
        options_of = {"labels": list(range(most))}  # for metrics that take choices as classes
        values = compute(modules, inputs, options_of)
        known = {name: metric for name, metric in shipped_metrics().items() if name in values}
        found = intervals(metrics=known, inputs=inputs, options=options_of, seed=recipe.seed)
        result = EvalResult(
            task=task.name,
            model=answers.model,
            revision=answers.revision,
            data=data,
            split=None,
            n_rows=n_rows,
            n_skipped=len(scored) - n_rows + questions.skipped.skipped,
            skipped_rows=questions.skipped.skipped_rows,
            metrics=values,
            intervals={
                name: {"low": one.low, "high": one.high, "method": one.method}
                for name, one in found.items()
            },
            seconds=seconds,
            device=answers.device,
            output_dir=str(folder.path),
            weights_sha256=answers.weights_sha256,
            data_sha256=questions.data_sha256,
            settings={"task": told_of(questions), **answers.settings},
            versions={"hfcli": hfcli.__version__, **{n: metadata.version(n) for n in PACKAGES}},
            created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            command=options.command,
            notes=notes,
        )
        options.write_report(result)
    return result


def told_of(questions: Questions) -> dict[str, Any]:
    """How rows are put, by content: the examples by their hash, wherever their file lies."""
    told = questions.task.model_dump(mode="json", exclude_none=True, exclude={"few_shot"})
    if questions.few_shot_sha256 is not None:
        told["few_shot_sha256"] = questions.few_shot_sha256
    return told


def _metrics(recipe: QuestionRecipe) -> tuple[list[str], list[str]]:
    """Names of the metrics; and a sentence where some of the default ones cannot be computed."""
    if recipe.evaluation.metrics:
        return recipe.evaluation.metrics, []
    known = shipped_metrics()
    names = recipe.task.metrics()
    packages = {name: known[name].package for name in names}
    here = [n for n, p in packages.items() if p is None or importlib.util.find_spec(p) is not None]
    left_out = [name for name in names if name not in here]
    told = f"{', '.join(left_out)} left out: pip install 'hfcli[text-metrics]'"
    return here, [told] if left_out else []


def _predictions(items: Sequence[Item], rows: Sequence[Mapping[str, Any]]) -> Iterator[Prediction]:
    for item, row in zip(items, rows, strict=True):
        yield {
            "id": item.origin.rpartition("/")[2],
            "text": item.prompt[:TEXT_SHOWN],
            "text_sha256": hashlib.sha256(item.prompt.encode()).hexdigest(),
            "gold": item.gold,
            **row,
        }


def _unscored(scored: Sequence[Prediction], n_rows: int) -> list[str]:
    """What is said of the rows without an answer.

    Raises:
        DataError: there is no other row.
    """
    errors = [f"{row['id']}: {row['error']}" for row in scored if row["error"] is not None]
    if not errors:
        return []
    if n_rows == 0:
        raise DataError(f"no row could be answered; the first: {errors[0]}")
    return [f"{len(errors):,} of {len(scored):,} rows have no answer; the first: {errors[0]}"]


def _default_folder(recipe: QuestionRecipe) -> Path:
    """Inside the run that is asked; for any other model, under runs/ by its name and the data."""
    model = Path(str(recipe.model.name_or_path))
    name = f"{Path(recipe.data.test[0]).stem}-{recipe.task.name}"
    if (model / "recipe.yaml").is_file():
        return model / f"eval-{name}"
    return Path("runs") / f"eval-{model.name}-{name}"
