"""Standard suites: a loaded model handed to lm-evaluation-harness, its results as ours.

The harness brings tasks, prompts and metrics, and fetches their data; scores are its own. Its
package is optional. Loading the model, the interval of a score, predictions and the report are
hfcli's.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import hfcli
from hfcli.device import resolve_device, resolve_dtype
from hfcli.errors import DataError, RecipeError, RunError
from hfcli.evaluation.harness import HARNESS, load_tasks, quiet, require_harness, run_tasks
from hfcli.evaluation.outcomes import write_predictions
from hfcli.evaluation.suite_results import Suite, read_results
from hfcli.models.fingerprint import weights_fingerprint
from hfcli.models.load import LoadedModel, ensure_pad_token, load_model
from hfcli.models.resolve import resolve_model
from hfcli.results import EvalResult, Listener, Note
from hfcli.tasks.text_generation import TextGeneration

PACKAGES = ("torch", "transformers", "datasets", "lm_eval")
BATCH_SIZE = 8
REPORT_FILE = "report.json"


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


def evaluate_suite(options: SuiteOptions, listener: Listener) -> EvalResult:
    """Run the tasks and write their predictions.

    Raises:
        RecipeError: the suite or one of its tasks is not known.
        DataError: the data of a task cannot be fetched or read.
        ModelError: the model cannot be loaded.
        RunError: the harness is not installed, or a task would run code that the model wrote.
    """
    names = parse_suite(options.suite)
    require_harness()
    if options.path is not None and not options.path.is_dir():
        raise DataError(f"--suite-path {options.path}: no such folder")
    folder = options.output_dir or _default_folder(options, names)
    _refuse_another(folder, names, options)
    with quiet():
        tasks = load_tasks(
            names=names,
            path=options.path,
            num_fewshot=options.num_fewshot,
            offline=options.offline,
        )
        loaded = _load(options)
        start = time.perf_counter()
        results = run_tasks(
            tasks=tasks,
            loaded=loaded,
            batch_size=options.batch_size or BATCH_SIZE,
            limit=options.limit,
        )
    seconds = time.perf_counter() - start
    suite = read_results(results)
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder, iter(suite.rows))
    for note in suite.notes():
        listener(Note(note))
    return _result(suite, loaded, folder, options, seconds)


def parse_suite(text: str) -> list[str]:
    """`lm-eval:hellaswag,arc_easy` -> the names of its tasks.

    Raises:
        RecipeError: another harness, or no task.
    """
    harness, colon, tasks = text.partition(":")
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    if harness != HARNESS or not colon or not names:
        raise RecipeError(
            f"--suite {text}: expected {HARNESS}:TASK[,TASK]",
            hint=f"for example --suite {HARNESS}:hellaswag,arc_easy",
        )
    return list(dict.fromkeys(names))


def _load(options: SuiteOptions) -> LoadedModel:
    placement = resolve_device(options.device or "auto")
    loaded = load_model(
        source=resolve_model(options.model, revision=options.revision, offline=options.offline),
        task=TextGeneration(),
        dtype=resolve_dtype("auto", placement.device),
        placement=placement,
    )
    ensure_pad_token(loaded)
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


def _refuse_another(folder: Path, names: list[str], options: SuiteOptions) -> None:
    """Leave a folder alone that holds something else.

    Raises:
        RunError: the user named it, and did not ask for it to be replaced.
    """
    if options.output_dir is None or options.overwrite:
        return
    if (folder / "config.json").is_file():
        raise RunError(f"{folder}: holds a model", hint="-o names another folder")
    report = folder / REPORT_FILE
    if report.is_file():
        before = json.loads(report.read_text(encoding="utf-8"))
        if (before.get("task"), before.get("data")) != (HARNESS, ", ".join(names)):
            raise RunError(
                f"{folder}: holds another evaluation (of {before.get('model')} on"
                f" {before.get('data')})",
                hint="--overwrite replaces it, -o FOLDER writes elsewhere",
            )
