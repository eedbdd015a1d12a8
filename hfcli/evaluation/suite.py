"""Standard suites: a loaded model handed to lm-evaluation-harness, its results as ours.

The harness brings tasks, prompts and metrics, and fetches their data; scores are its own. Its
package is optional. Loading the model, the interval of a score, predictions and the report are
hfcli's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import hfcli
from hfcli.device import resolve_device, resolve_dtype
from hfcli.errors import DataError, RecipeError
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.evaluation.harness import HARNESS, load_tasks, quiet, require_harness, run_tasks
from hfcli.evaluation.outcomes import write_predictions
from hfcli.evaluation.suite_results import Suite, read_results
from hfcli.models.fingerprint import begin_fingerprint, weights_fingerprint
from hfcli.models.load import LoadedModel, ensure_filler, load_model
from hfcli.models.resolve import ModelSource, resolve_model
from hfcli.origins import as_typed
from hfcli.process import check_single_process
from hfcli.results import EvalResult, Listener, Note
from hfcli.tasks.text_generation import TextGeneration

PACKAGES = ("torch", "transformers", "datasets", "lm_eval")
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
    check_single_process()
    names = parse_suite(options.suite)
    require_harness()
    if options.path is not None and not options.path.is_dir():
        raise DataError(f"{as_typed('--suite-path')} {options.path}: no such folder")
    source = resolve_model(options.model, revision=options.revision, offline=options.offline)
    with _folder(options, names, source) as folder:
        path = folder.take(_told(options, names, source))
        suite, loaded, seconds = _run(options, names, source)
        write_predictions(path, iter(suite.rows))
        folder.keep()
        for note in suite.notes():
            listener(Note(note))
        result = _result(suite, loaded, path, options, seconds)
        options.write_report(result)
    return result


def _run(
    options: SuiteOptions, names: list[str], source: ModelSource
) -> tuple[Suite, LoadedModel, float]:
    """The results, the model, and the seconds that its answers took."""
    with quiet():
        tasks = load_tasks(
            names=names,
            path=options.path,
            num_fewshot=options.num_fewshot,
            offline=options.offline,
        )
        loaded = _load(options, source)
        start = time.perf_counter()
        results = run_tasks(
            tasks=tasks,
            loaded=loaded,
            batch_size=options.batch_size or BATCH_SIZE,
            limit=options.limit,
        )
    return read_results(results), loaded, time.perf_counter() - start


def _told(options: SuiteOptions, names: list[str], source: ModelSource) -> dict[str, Any]:
    """Everything that the scores depend on, but the data, which the tasks bring."""
    return {
        "weights_sha256": begin_fingerprint(source)(),
        "data_sha256": None,
        "settings": {
            "tasks": names,
            "path": None if options.path is None else str(options.path.absolute()),
            "limit": options.limit,
            "num_fewshot": options.num_fewshot,
            "batch_size": options.batch_size or BATCH_SIZE,
            "device": options.device,
        },
    }


def _folder(options: SuiteOptions, names: list[str], source: ModelSource) -> EvaluationFolder:
    return EvaluationFolder(
        named=options.output_dir,
        default=_default_folder(options, names),
        overwrite=options.overwrite,
        about={"model": source.name, "data": ", ".join(names)},
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


def _result(
    suite: Suite, loaded: LoadedModel, folder: Path, options: SuiteOptions, seconds: float
) -> EvalResult:
    return EvalResult(
        task=HARNESS,
        model=loaded.source.name,
        revision=loaded.source.revision,
        data=", ".join(suite.tasks),
        split=f"{HARNESS} {metadata.version('lm_eval')}",
        n_rows=sum(task["rows"] for task in suite.tasks.values()),
        n_skipped=0,
        metrics=suite.metrics,
        intervals=suite.intervals,
        seconds=seconds,
        device=str(loaded.model.device),
        output_dir=str(folder),
        weights_sha256=weights_fingerprint(loaded.source, *loaded.parts),
        data_sha256=suite.data_sha256,
        settings={
            "tasks": suite.tasks,
            "higher_is_better": suite.higher_is_better,
            "limit": options.limit,
            "dtype": str(loaded.model.dtype).removeprefix("torch."),
            "device": loaded.model.device.type,
            "batch_size": options.batch_size or BATCH_SIZE,
        },
        versions={"hfcli": hfcli.__version__, **{n: metadata.version(n) for n in PACKAGES}},
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        command=options.command,
        notes=suite.notes(),
    )


def _default_folder(options: SuiteOptions, names: list[str]) -> Path:
    model = Path(options.model or "default").name
    return Path("runs") / f"eval-{model}-{'-'.join(names)}"[:100].replace(os.sep, "-")
