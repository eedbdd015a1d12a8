"""One evaluation, whatever scores it: claim a folder, resume, score, write predictions, report.

Predictions are computed first, so that a killed evaluation resumes; the metrics are computed from
the predictions' file, and can be computed again from it by anyone. What differs between kinds of
evaluations is a `Scorer`: a forward pass over a split (`forward`), log-likelihoods of choices and
generated answers (`prompt_tasks`), lm-evaluation-harness (`suite`).
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import hfcli
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.evaluation.gates import Gates, check_names
from hfcli.evaluation.predictions import Prediction, ScoreLog, read_predictions, write_predictions
from hfcli.metrics.modules import ShippedMetric, load_metric
from hfcli.process import check_single_process
from hfcli.results import EvalResult, Listener, Note, RowsScored
from hfcli.runfolder.names import PREDICTIONS_FILE, RECIPE_FILE
from hfcli.tasks.base import Reduced

Keep = Callable[[Sequence[int], Reduced], None]


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


@dataclass(frozen=True)
class Facts:
    """What a report says beside the scores; the names are those of `EvalResult`.

    Args:
        key: everything that the predictions depend on, as the report tells it.
        n_rows: rows that were scored; None: predictions without an error.
        unread: rows that were left out before there could be a prediction.
    """

    task: str
    model: str
    revision: str | None
    data: str
    device: str
    key: Mapping[str, Any]
    split: str | None = None
    labels: list[str] | None = None
    n_rows: int | None = None
    unread: int = 0
    skipped_rows: list[str] = field(default_factory=list)


class Scorer(ABC):
    """One kind of evaluation. The methods are called once each, in this order.

    Attributes:
        packages: whose versions the report has.
        reuses: predictions of this very evaluation are taken as they are.
        notes: what a user should know; each step adds to them.
    """

    packages: ClassVar[tuple[str, ...]] = (
        "torch", "transformers", "datasets", "evaluate", "scikit-learn", "numpy",
    )  # fmt: skip
    reuses: ClassVar[bool] = True

    def __init__(self) -> None:
        self.notes: list[str] = []

    @abstractmethod
    def read_data(self) -> tuple[Path, str, str]:
        """Read the data; return the default folder, and for messages the model and the data."""

    @abstractmethod
    def key(self) -> Mapping[str, Any]:
        """Return what the predictions depend on: hashes of weights and data, settings."""

    def found(self, folder: Path) -> None:
        """Note that predictions are there already."""
        self.notes.append(f"predictions found in {folder}: same model, data and settings")

    def load(self) -> None:
        """Load what `key` did not need."""
        return

    @abstractmethod
    def scored(
        self, folder: EvaluationFolder, listener: Listener
    ) -> AbstractContextManager[Iterable[Prediction]]:
        """Score all rows; what was finished before a kill is kept until the context ends."""

    def review(self, rows: Sequence[Prediction]) -> None:
        """Note what the predictions say of themselves.

        Raises:
            DataError: there is nothing to compute scores from.
        """
        return

    @abstractmethod
    def scores(self, rows: Sequence[Prediction]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the value of each metric, and the intervals, from predictions that were read."""

    @abstractmethod
    def facts(self) -> Facts:
        """Return what else the report says."""


def run_evaluation(scorer: Scorer, *, options: EvalOptions, listener: Listener) -> EvalResult:
    """Score the rows, write their predictions, compute the scores from these, and report.

    Args:
        scorer: what is evaluated.
        options: how it is started.
        listener: gets notes and progress.

    Raises:
        DataError, ModelError, RunError: see `hfcli.errors`.
    """
    check_single_process()
    default, model, data = scorer.read_data()
    key = scorer.key()
    with EvaluationFolder(
        named=options.output_dir,
        default=default,
        overwrite=options.overwrite,
        about={"model": model, "data": data},
    ) as folder:
        path = folder.take(key)
        seconds = _write_predictions(scorer, folder, listener)
        rows = list(read_predictions(path / PREDICTIONS_FILE))
        scorer.review(rows)
        for note in scorer.notes:
            listener(Note(note))
        metrics, intervals = scorer.scores(rows)
        facts = scorer.facts()
        n_scored = sum(row["error"] is None for row in rows)
        result = EvalResult(
            task=facts.task,
            model=facts.model,
            revision=facts.revision,
            data=facts.data,
            split=facts.split,
            n_rows=n_scored if facts.n_rows is None else facts.n_rows,
            n_skipped=len(rows) - n_scored + facts.unread,
            skipped_rows=facts.skipped_rows,
            metrics=metrics,
            intervals=intervals,
            labels=facts.labels,
            seconds=seconds,
            device=facts.device,
            notes=scorer.notes,
            output_dir=str(path),
            **facts.key,
            versions={
                "hfcli": hfcli.__version__,
                **{name: metadata.version(name) for name in scorer.packages},
            },
            created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            command=options.command,
        )
        options.write_report(result)
    return result


def _write_predictions(scorer: Scorer, folder: EvaluationFolder, listener: Listener) -> float:
    """Write the predictions, unless they are there; the seconds that scoring took."""
    start = time.perf_counter()
    if scorer.reuses and folder.reuses():
        scorer.found(folder.path)
        return time.perf_counter() - start
    scorer.load()
    start = time.perf_counter()
    with scorer.scored(folder, listener) as predictions:
        write_predictions(folder.path, predictions)
        folder.keep()
    return time.perf_counter() - start


@contextlib.contextmanager
def journal(
    folder: EvaluationFolder, units: int, notes: list[str], listener: Listener
) -> Iterator[tuple[Mapping[int, tuple[float, ...]], Keep]]:
    """Keep what is scored on disk until the predictions hold all of it.

    Args:
        folder: of the evaluation.
        units: how many can be scored: windows of a text, rows of choices.
        notes: get a line where some were scored before.
        listener: gets progress.

    Yields:
        What is scored, by the number of the unit; and what adds a batch to it.
    """
    with ScoreLog(folder.path, folder.key) as log:
        if log.done:
            notes.append(f"resuming: {len(log.done):,} of {units:,} rows already scored")

        def keep(indices: Sequence[int], rows: Reduced) -> None:
            log.add(indices, rows)
            listener(RowsScored(len(log.done), units))

        yield log.done, keep
        log.remove()


def load_metrics(names: Sequence[str], options: EvalOptions, *more: str) -> dict[str, Any]:
    """Return what computes each metric, and see that the gates name none but these.

    Args:
        names: of shipped metrics, scripts or Hub metrics.
        options: its gates are checked where all metrics are shipped; other modules name their
            values afterwards.
        more: names of scores that there will be beside these.

    Raises:
        DataError, RunError: a metric cannot be loaded.
        RecipeError: a gate names another metric.
    """
    modules = {
        name: load_metric(name, offline=options.offline, allow_remote=options.allow_remote_metric)
        for name in names
    }
    if options.gates is not None and are_shipped(modules):
        check_names(options.gates, [*more, *names])
    return modules


def are_shipped(modules: Mapping[str, Any]) -> bool:
    """Return whether all metrics are hfcli's own."""
    return all(isinstance(module, ShippedMetric) for module in modules.values())


def default_folder(model: str, inside: str, name: str) -> Path:
    """Return where an evaluation goes by default.

    Args:
        model: that is scored: a folder or an id.
        inside: name of the data inside a run's own folder.
        name: of the data, for any other model.
    """
    path = Path(model)
    if (path / RECIPE_FILE).is_file():
        return path / f"eval-{inside}"
    return Path("runs") / f"eval-{path.name}-{name}"
