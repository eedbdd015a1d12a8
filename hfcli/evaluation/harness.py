"""lm-evaluation-harness: its tasks, and a run of them on a loaded model. No other file calls it.

Knows nothing about reports.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hfcli import hub
from hfcli.errors import DataError, RecipeError, RunError, did_you_mean
from hfcli.models.load import LoadedModel
from hfcli.transfers import guard, network_errors

HARNESS = "lm-eval"
INSTALL = "pip install 'hfcli[lm-eval]'"
SEED = 1234  # the harness's own


def require_harness() -> None:
    """
    Raises:
        RunError: it is not installed.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise RunError("--suite needs lm-evaluation-harness, which is not installed", hint=INSTALL)


def load_tasks(
    *, names: list[str], path: Path | None, num_fewshot: int | None, offline: bool
) -> dict[str, Any]:
    """The tasks with their data; before the model, since loading one switches the network off.

    Args:
        names: of tasks, groups or tags.
        path: folder with further tasks; it is looked at first.
        num_fewshot: solved examples before each prompt; None: what each task says.
        offline: open no socket.

    Raises:
        RecipeError: a name is not known.
        DataError: the data of a task cannot be fetched or read.
        RunError: a task needs another package, or runs code that the model writes.
    """
    if offline or not hub.reachable():
        hub.go_offline()  # before the import: datasets reads the switch once
    import datasets
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from lm_eval.tasks import TaskManager

    if not hub.is_offline():
        guard()
    manager = _manager_of(TaskManager, names, path)
    known = (
        ConnectionError, OfflineModeIsEnabled, HfHubHTTPError, FileNotFoundError, ImportError,
        datasets.exceptions.DatasetsError,
    )  # fmt: skip
    try:
        with network_errors(DataError, f"the data of {', '.join(names)}", passes=known):
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
        _set_examples(task, num_fewshot)
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


def run_tasks(
    *, tasks: dict[str, Any], loaded: LoadedModel, batch_size: int, limit: int | None
) -> Mapping[str, Any]:
    """The harness's results (see `suite_results`), every example among them.

    Args:
        tasks: from `load_tasks`.
        loaded: the model.
        batch_size: most rows in a batch.
        limit: rows of each task; None: all.
    """
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from transformers import set_seed

    set_seed(SEED)
    model: Any = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=batch_size)
    results: Mapping[str, Any] = evaluate(
        lm=model, task_dict=tasks, limit=limit, log_samples=True, bootstrap_iters=1_000
    )
    return results


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
