"""Standard suites: a loaded model handed to lm-evaluation-harness, its results as ours.

The harness brings tasks, prompts and metrics, and fetches their data; scores are its own. Its
package is optional. Loading the model, the interval of a score, predictions and the report are
hfcli's.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import hfcli
from hfcli import hub
from hfcli.device import resolve_device, resolve_dtype
from hfcli.errors import DataError, RecipeError, RunError, did_you_mean
from hfcli.evaluation.outcomes import write_predictions
from hfcli.evaluation.suite_results import Suite, read_results
from hfcli.models.fingerprint import weights_fingerprint
from hfcli.models.load import LoadedModel, ensure_pad_token, load_model
from hfcli.models.resolve import resolve_model
from hfcli.results import EvalResult, Listener, Note
from hfcli.tasks.text_generation import TextGeneration

HARNESS = "lm-eval"
INSTALL = "pip install 'hfcli[lm-eval]'"
PACKAGES = ("torch", "transformers", "datasets", "lm_eval")
BATCH_SIZE = 8
SEED = 1234  # the harness's own
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
    _require_harness()
    if options.path is not None and not options.path.is_dir():
        raise DataError(f"--suite-path {options.path}: no such folder")
    folder = options.output_dir or _default_folder(options, names)
    _refuse_another(folder, names, options)
    with _quiet():
        tasks = _tasks(names, options)
        loaded = _load(options)
        start = time.perf_counter()
        results = _run(tasks, loaded, options)
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


def _require_harness() -> None:
    if importlib.util.find_spec("lm_eval") is None:
        raise RunError("--suite needs lm-evaluation-harness, which is not installed", hint=INSTALL)


def _tasks(names: list[str], options: SuiteOptions) -> dict[str, Any]:
    """The tasks with their data; before the model, since loading one switches the network off."""
    if options.offline or not hub.reachable():
        hub.go_offline()  # before the import: datasets reads the switch once
    import datasets
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from lm_eval.tasks import TaskManager

    manager = _manager_of(TaskManager, names, options.path)
    try:
        loaded: dict[str, Any] = manager.load(names)
    except (ConnectionError, OfflineModeIsEnabled, HfHubHTTPError) as e:
        raise DataError(
            f"the data of {', '.join(names)} are not in the local cache, and the Hub cannot be"
            f" reached ({_first_line(e)})",
            hint="try again with a network; --suite-path FOLDER takes tasks on local files",
        ) from e
    except (FileNotFoundError, datasets.exceptions.DatasetsError) as e:
        raise DataError(f"the data of {', '.join(names)}: {_first_line(e)}") from e
    except ImportError as e:
        raise RunError(f"a task needs more than {HARNESS}: {_first_line(e)}") from e
    unsafe = [name for name, task in loaded["tasks"].items() if getattr(task, "UNSAFE_CODE", False)]
    if unsafe:
        raise RunError(f"{unsafe[0]} runs code that the model writes, which hfcli does not do")
    for task in loaded["tasks"].values():
        _set_examples(task, options.num_fewshot)
    return loaded


def _set_examples(task: Any, number: int | None) -> None:
    """As `lm_eval.simple_evaluate` does: a task that says 0 keeps it."""
    own = task.get_config("num_fewshot")
    if own is None or (number is not None and own != 0):
        task.set_config(key="num_fewshot", value=number or 0)
    task.set_fewshot_seed(seed=SEED)


def _manager_of(kind: Any, names: list[str], path: Path | None) -> Any:
    """One that knows all names: of the folder alone where it has them, which is quicker."""
    if path is not None:
        own = kind(include_path=str(path), include_defaults=False)
        if set(names) <= set(own.all_tasks):
            return own
    manager = kind(include_path=None if path is None else str(path))
    for name in names:
        if name not in manager.all_tasks:
            near = did_you_mean(name, manager.all_tasks)
            raise RecipeError(
                f"{HARNESS} has no task {name!r}" + (f", did you mean {near}?" if near else ""),
                hint=None if near else "lm_eval ls tasks lists them",
            )
    return manager


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


def _run(tasks: dict[str, Any], loaded: LoadedModel, options: SuiteOptions) -> Mapping[str, Any]:
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from transformers import set_seed

    set_seed(SEED)
    model: Any = HFLM(
        pretrained=loaded.model,
        tokenizer=loaded.tokenizer,
        batch_size=options.batch_size or BATCH_SIZE,
    )
    results: Mapping[str, Any] = evaluate(
        lm=model, task_dict=tasks, limit=options.limit, log_samples=True, bootstrap_iters=1_000
    )
    return results


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the harness prints goes to stderr; its remarks and, but on a terminal, bars nowhere."""
    import logging

    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        stack.callback(logger.setLevel, level)
        if not sys.stderr.isatty():
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield


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


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
