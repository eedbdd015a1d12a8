"""A recipe -> the scores of its model on one split, every row's prediction beside them.

Predictions are computed first, so that a killed evaluation goes on; the metrics are computed from
the predictions' file, and can be computed again from it by anyone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hfcli
from hfcli.data.inputs import inputs_of
from hfcli.data.prepare import prepare
from hfcli.data.splits import load_splits
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.evaluation.gates import Gates, check_names
from hfcli.evaluation.measure import compute, loss, sureness
from hfcli.evaluation.outcomes import (
    PREDICTIONS_FILE,
    Prediction,
    predictions,
    read_predictions,
    write_predictions,
)
from hfcli.evaluation.predictions import metric_inputs
from hfcli.evaluation.score_log import ScoreLog
from hfcli.evaluation.scored_model import ScoredModel, load_scored, told_of
from hfcli.fast.startup import restore_imports
from hfcli.metrics.modules import PlainMetric, load_metric
from hfcli.process import check_single_process
from hfcli.recipe.schema import DataSection, Recipe
from hfcli.results import EvalResult, Listener, Note, RowsScored
from hfcli.tasks.base import Reduced, RowCounts, Tools
from hfcli.tasks.scoring import reduce_all

if TYPE_CHECKING:
    from datasets import Dataset

PACKAGES = ("torch", "transformers", "datasets", "evaluate", "scikit-learn", "numpy")


@dataclass(frozen=True)
class EvalOptions:
    """How an evaluation is started, beside its recipe.

    Args:
        output_dir: where predictions and report go; None: beside the run, or under runs/.
        overwrite: replace another evaluation in `output_dir`.
        offline: open no socket.
        allow_remote_metric: metrics may be code from the Hub.
        command: as it was typed, for the report.
        gates: what will be asked of the scores; their names are looked at before.
        write_report: writes what is read by people into the folder, while it is locked.
    """

    output_dir: Path | None = None
    overwrite: bool = False
    offline: bool = False
    allow_remote_metric: bool = False
    command: str = ""
    gates: Gates | None = None
    write_report: Callable[[EvalResult], None] = lambda _result: None

    def folder(self, default: Path, model: str, data: str) -> EvaluationFolder:
        """Return the folder of an evaluation, which is `default` where the user names none."""
        return EvaluationFolder(
            named=self.output_dir,
            default=default,
            overwrite=self.overwrite,
            about={"model": model, "data": data},
        )


def evaluate(*, recipe: Recipe, listener: Listener, options: EvalOptions) -> EvalResult:
    """Score the recipe's model on its test split, or validation, or `evaluation.split`.

    Args:
        recipe: validated; `model.name_or_path` is the model that is scored.
        listener: gets notes and progress.
        options: how it is started.

    Raises:
        DataError, ModelError, RunError: see `hfcli.errors`.
    """
    check_single_process()
    try:
        return _evaluate(recipe, listener, options)
    finally:
        restore_imports()


def _evaluate(recipe: Recipe, listener: Listener, options: EvalOptions) -> EvalResult:
    task = recipe.task
    split, rows, notes, skipped = _rows(recipe, options.offline)
    names = recipe.evaluation.metrics or list(task.eval_metrics())
    modules = {
        name: load_metric(name, offline=options.offline, allow_remote=options.allow_remote_metric)
        for name in names
    }
    plain = all(isinstance(module, PlainMetric) for module in modules.values())
    if options.gates is not None and plain:  # other modules name their values afterwards
        check_names(options.gates, ["loss", *names])
    skipped_before = skipped.skipped  # those that the template refuses are among the predictions
    model = load_scored(recipe, offline=options.offline, defer_imports=plain)
    loaded, told = model.loaded, told_of(recipe, model, rows)
    data = _describe(recipe.data, split)
    with options.folder(_default_folder(recipe, split), loaded.source.name, data) as folder:
        folder.take(told)
        start = time.perf_counter()
        scored = _scored(recipe, model, rows, folder, told, listener, notes, skipped)
        restore_imports()  # metrics use scipy in earnest
        seconds = time.perf_counter() - start
        for note in notes:
            listener(Note(note))
        labels = task.label_names(loaded.model)
        inputs = metric_inputs(scored, labels)
        options_of = {"labels": list(range(len(labels or ())))}
        values = compute(modules, inputs, options_of)
        n_rows = sum(row["error"] is None for row in scored)
        result = EvalResult(
            task=task.name,
            model=loaded.source.name,
            revision=loaded.source.revision,
            data=data,
            split=split if recipe.data.train or recipe.data.path else None,
            n_rows=n_rows,
            n_skipped=len(scored) - n_rows + skipped_before,
            skipped_rows=skipped.skipped_rows,
            metrics={**loss(inputs), **values},
            intervals=sureness(names=values, inputs=inputs, options=options_of, seed=recipe.seed),
            labels=labels,
            seconds=seconds,
            device=str(loaded.model.device),
            notes=notes,
            output_dir=str(folder.path),
            **told,
            versions={"hfcli": hfcli.__version__, **{n: metadata.version(n) for n in PACKAGES}},
            created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            command=options.command,
        )
        options.write_report(result)
    return result


def _scored(
    recipe: Recipe,
    model: ScoredModel,
    rows: Dataset,
    folder: EvaluationFolder,
    told: Mapping[str, Any],
    listener: Listener,
    notes: list[str],
    skipped: RowCounts,
) -> list[Prediction]:
    """The predictions of all rows: those that are there already, or computed."""
    task, loaded = recipe.task, model.loaded
    if folder.reuses():
        notes += skipped.sentences()
        notes.append(f"predictions found in {folder.path}: same model, data and settings")
        return list(read_predictions(folder.path / PREDICTIONS_FILE))
    tools = Tools(
        loaded.tokenizer,
        loaded.model,
        recipe.data.on_overflow,
        recipe.data.on_bad_row == "skip",
        skipped,
    )
    prepared = prepare(task=task, rows=lambda: rows, tools=tools, train=False)
    scoring = task.describe_scoring(tools)
    if scoring:
        notes.append("scoring: " + ", ".join(f"{k} {v}" for k, v in scoring.items() if v))
    notes += prepared.counts.sentences()
    total = len(prepared.features)
    with ScoreLog(folder.path, told) as log:
        if log.done:
            notes.append(f"going on: {len(log.done):,} of {total:,} were scored before")

        def keep(indices: Any, reduced: Reduced) -> None:
            log.add(indices, reduced)
            log.done.update(zip(indices, reduced, strict=True))
            listener(RowsScored(len(log.done), total))

        reduced = reduce_all(
            task=task,
            model=loaded.model,
            prepared=prepared,
            batch_size=model.rows_at_once,
            tokens_at_once=model.tokens_at_once,
            pad_token_id=int(loaded.tokenizer.pad_token_id),
            done=dict(log.done),
            on_batch=keep,
        )
        found = predictions(task=task, rows=rows, prepared=prepared, reduced=reduced)
        path = write_predictions(folder.path, found)
        folder.keep()
        log.remove()
    return list(read_predictions(path))


def _rows(recipe: Recipe, offline: bool) -> tuple[str, Dataset, list[str], RowCounts]:
    data = recipe.data
    split = recipe.evaluation.split or ("test" if data.test else "validation")
    # Only what the split is made from is read.
    needed = {"train", "validation"} if split == "validation" and not data.validation else {split}
    if split == "train" and not data.validation:
        needed = {"train"}
    section = data.model_copy(
        update={n: [] for n in ("train", "validation", "test") if n not in needed}
    )
    inputs = inputs_of(section)
    splits = load_splits(section=section, task=recipe.task, seed=recipe.seed, offline=offline)
    inputs.check()
    skipped = splits.skipped.get(split) or splits.skipped["train"]  # it was made from these
    return split, splits.get(split), list(splits.notes), skipped


def _default_folder(recipe: Recipe, split: str) -> Path:
    """Inside the run that is scored; for any other model, under runs/ by its name and the data."""
    model = Path(str(recipe.model.name_or_path))
    if (model / "recipe.yaml").is_file():
        return (
            model / f"eval-{split}" if recipe.data.train else model / f"eval-{_data_name(recipe)}"
        )
    return Path("runs") / f"eval-{model.name}-{_data_name(recipe)}"


def _data_name(recipe: Recipe) -> str:
    data = recipe.data
    first = next(name for name in (*data.test, *data.validation, *data.train))
    return str(data.path or Path(first).stem).replace(os.sep, "-")


def _describe(section: DataSection, split: str) -> str:
    names = getattr(section, split) or section.train
    if section.path is not None:
        return f"{section.path}{f'/{section.name}' if section.name else ''} [{'+'.join(names)}]"
    return ", ".join(names)
