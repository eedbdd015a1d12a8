"""Standard suites: a loaded model handed to lm-evaluation-harness, its results as ours.

The harness brings tasks, prompts and metrics, and fetches their data; scores are its own. Its
package is optional. Loading the model, the interval of a score, predictions and the report are
hfcli's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from hfcli.device import resolve_device, resolve_dtype
from hfcli.errors import DataError, RecipeError
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.evaluation.harness import HARNESS, load_tasks, quiet, require_harness, run_tasks
from hfcli.evaluation.predictions import Prediction
from hfcli.evaluation.run import EvalOptions, Facts, Scorer, run_evaluation
from hfcli.evaluation.suite_results import read_results
from hfcli.models.fingerprint import begin_fingerprint, weights_fingerprint
from hfcli.models.load import LoadedModel, ensure_filler, load_model
from hfcli.models.resolve import ModelSource, resolve_model
from hfcli.origins import as_typed
from hfcli.results import EvalResult, Listener
from hfcli.tasks.text_generation import TextGeneration

BATCH_SIZE = 8


@dataclass(frozen=True)
class SuiteOptions:
    """What is run, and on what.

    Args:
        suite: `lm-eval:TASK[,TASK]`, as it was given.
        path: folder with tasks (YAML) of one's own.
        limit: rows of each task; None: all.
        num_fewshot: solved examples before each prompt; None: what the task says.
        model: what to score; `revision` of a Hub model.
        device: where it runs.
        batch_size: most rows in a batch.
        output_dir: of predictions and report; None: under runs/.
        overwrite: replace another evaluation there.
        offline: open no socket.
        command: as it was typed, for the report.
        write_report: writes what is read by people into the folder, while it is locked.
    """

    suite: str
    path: Path | None = None
    limit: int | None = None
    num_fewshot: int | None = None
    model: str | None = None
    revision: str | None = None
    device: str | None = None
    batch_size: int | None = None
    output_dir: Path | None = None
    overwrite: bool = False
    offline: bool = False
    command: str = ""
    write_report: Callable[[EvalResult], None] = lambda _result: None


def evaluate_suite(options: SuiteOptions, listener: Listener) -> EvalResult:
    """Run the tasks and write their predictions.

    Raises:
        RecipeError: the suite or one of its tasks is not known.
        DataError: the data of a task cannot be fetched or read.
        ModelError: the model cannot be loaded.
        RunError: the harness is not installed, or a task would run code that the model wrote.
    """
    started = EvalOptions(
        output_dir=options.output_dir,
        overwrite=options.overwrite,
        offline=options.offline,
        command=options.command,
        write_report=options.write_report,
    )
    return run_evaluation(SuiteScorer(options), options=started, listener=listener)


class SuiteScorer(Scorer):
    """Tasks of the harness, which computes their scores itself."""

    packages = ("torch", "transformers", "datasets", "lm_eval")
    reuses = False

    def __init__(self, options: SuiteOptions) -> None:
        super().__init__()
        self.options = options

    def read_data(self) -> tuple[Path, str, str]:
        options = self.options
        self.names = parse_suite(options.suite)
        require_harness()
        if options.path is not None and not options.path.is_dir():
            raise DataError(f"--suite-path {options.path}: no such folder")
        self.source = resolve_model(
            options.model, revision=options.revision, offline=options.offline
        )
        model = Path(options.model or "default").name
        name = f"eval-{model}-{'-'.join(self.names)}"[:100].replace(os.sep, "-")
        return Path("runs") / name, self.source.name, ", ".join(self.names)

    def key(self) -> Mapping[str, Any]:
        """Return everything that the scores depend on, but the data, which the tasks bring."""
        options = self.options
        return {
            "weights_sha256": begin_fingerprint(self.source)(),
            "data_sha256": None,
            "settings": {
                "tasks": self.names,
                "path": None if options.path is None else str(options.path.absolute()),
                "limit": options.limit,
                "num_fewshot": options.num_fewshot,
                "batch_size": options.batch_size or BATCH_SIZE,
                "device": options.device,
            },
        }

    def load(self) -> None:
        options = self.options
        with quiet():
            self.tasks = load_tasks(
                names=self.names,
                path=options.path,
                num_fewshot=options.num_fewshot,
                offline=options.offline,
            )
            self.loaded = _load(options, self.source)

    @contextlib.contextmanager
    def scored(
        self, folder: EvaluationFolder, listener: Listener
    ) -> Iterator[Sequence[Prediction]]:
        with quiet():
            results = run_tasks(
                tasks=self.tasks,
                loaded=self.loaded,
                batch_size=self.options.batch_size or BATCH_SIZE,
                limit=self.options.limit,
            )
        self.suite = read_results(results)
        self.notes += self.suite.notes()
        yield self.suite.rows

    def scores(self, rows: Sequence[Prediction]) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.suite.metrics, self.suite.intervals

    def facts(self) -> Facts:
        suite, loaded = self.suite, self.loaded
        return Facts(
            task=HARNESS,
            model=loaded.source.name,
            revision=loaded.source.revision,
            data=", ".join(suite.tasks),
            split=f"{HARNESS} {metadata.version('lm_eval')}",
            n_rows=sum(task["rows"] for task in suite.tasks.values()),
            device=str(loaded.model.device),
            key={
                "weights_sha256": weights_fingerprint(loaded.source, *loaded.parts),
                "data_sha256": suite.data_sha256,
                "settings": {
                    "tasks": suite.tasks,
                    "higher_is_better": suite.higher_is_better,
                    "limit": self.options.limit,
                    "dtype": str(loaded.model.dtype).removeprefix("torch."),
                    "device": loaded.model.device.type,
                    "batch_size": self.options.batch_size or BATCH_SIZE,
                },
            },
        )


def parse_suite(text: str) -> list[str]:
    """`lm-eval:hellaswag,arc_easy` -> the names of its tasks.

    Raises:
        RecipeError: another harness, or no task.
    """
    harness, colon, tasks = text.partition(":")
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    if harness != HARNESS or not colon or not names:
        raise RecipeError(
            f"{as_typed('--suite')} {text}: expected {HARNESS}:TASK[,TASK]",
            hint=f"for example --suite {HARNESS}:hellaswag,arc_easy",
        )
    return list(dict.fromkeys(names))


def _load(options: SuiteOptions, source: ModelSource) -> LoadedModel:
    placement = resolve_device(options.device or "auto")
    loaded = load_model(
        source=source,
        task=TextGeneration(),
        dtype=resolve_dtype("auto", placement.device),
        placement=placement,
    )
    ensure_filler(loaded)
    return loaded
