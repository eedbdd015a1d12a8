"""The runs of a sweep, one after the other, in folders of their own.

After each run `sweep.json` is written anew; a sweep that was killed goes on where it stopped, and
a run that fails does not keep the others from being run. Knows nothing about terminals.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hfcli import files, runfolder
from hfcli.errors import HfcliError, Interrupted, RunError
from hfcli.metrics import higher_is_better
from hfcli.process import check_single_process
from hfcli.recipe.sweep import SweptRun
from hfcli.results import (
    FinetuneResult,
    Listener,
    Note,
    PlannedRun,
    PlanResult,
    SeedGroup,
    SweepPlan,
    SweepResult,
    SweepRun,
)
from hfcli.runfolder.kinds import SWEEP
from hfcli.runfolder.names import RESULT_FILE, SWEEP_FILE
from hfcli.training import record
from hfcli.training.batch_size import with_split_of

SEED = "seed"
Train = Callable[[SweptRun, bool], FinetuneResult]


def sweep(
    *,
    runs: Sequence[SweptRun],
    folder: Path,
    train: Train,
    listener: Listener,
    resume: bool = False,
    overwrite: bool = False,
    reads: Sequence[Path] = (),
) -> SweepResult:
    """Train every run, or those that are not done yet.

    Args:
        runs: validated, in the order in which they are run.
        folder: of the sweep.
        train: one run, as `hfcli finetune` does it; True: go on with what is in its folder.
        listener: gets notes.
        resume: keep the runs that an earlier sweep in the folder has finished.
        overwrite: delete an earlier sweep in the folder.
        reads: files that the command reads beside those that the recipes name.

    Raises:
        RunError: the folder is not empty, or holds no sweep, or one of other data or settings;
            a launcher started more than one process.
        Interrupted: by a signal, after the step was saved.
    """
    check_single_process()
    with runfolder.hold(folder):
        outcomes = {run.name: _unfinished(run) for run in runs}
        if resume:
            outcomes |= _finished(folder, runs)
        needed = [*reads, *(path for run in runs for path in record.files_read(run.recipe))]
        runfolder.check(folder, SWEEP, resume=resume, overwrite=overwrite, reads=needed)
        mark = _text(summarize(folder, runs, outcomes))
        if resume:
            files.write_text(folder / SWEEP_FILE, mark)
        else:
            runfolder.replace(folder, SWEEP, mark)
        return _run_all(runs, folder, train, listener, resume, outcomes)


def _run_all(
    runs: Sequence[SweptRun],
    folder: Path,
    train: Train,
    listener: Listener,
    resume: bool,
    outcomes: dict[str, SweepRun],
) -> SweepResult:
    for number, run in enumerate(runs, 1):
        where = f"run {number} of {len(runs)}, {run.name}"
        if outcomes[run.name].state == "done":
            listener(Note(f"{where}: was done before"))
            continue
        listener(Note(where))
        outcomes[run.name] = outcome = _outcome(run, train, resume)
        if outcome.error is not None:
            listener(Note(f"{where}: failed: {outcome.error}"))
        files.write_text(folder / SWEEP_FILE, _text(summarize(folder, runs, outcomes)))
        gc.collect()  # a model lies in circles of references, and the next one needs its room
    return summarize(folder, runs, outcomes)


def plan_sweep(
    *, runs: Sequence[SweptRun], folder: Path, plan: Callable[[SweptRun], PlanResult]
) -> SweepPlan:
    """What the sweep would be.

    Args:
        runs: validated.
        folder: of the sweep; nothing is written.
        plan: of one run.

    Raises:
        RunError: a launcher started more than one process.
    """
    check_single_process()
    planned = []
    for run in runs:
        try:
            planned.append(PlannedRun(run.name, run.values, plan(run)))
        except HfcliError as e:
            planned.append(PlannedRun(run.name, run.values, error=e.message, exit_code=e.exit_code))
        gc.collect()
    plans = [run.plan for run in planned if run.plan is not None]
    return SweepPlan(
        output_dir=str(folder),
        keys=list(runs[0].values),
        runs=planned,
        seconds=sum(plan.seconds for plan in plans),
        peak_memory=max((plan.peak_memory for plan in plans if plan.peak_memory), default=None),
    )


def summarize(
    folder: Path, runs: Sequence[SweptRun], outcomes: Mapping[str, SweepRun]
) -> SweepResult:
    """The outcomes, best first; means and deviations where seeds are swept."""
    metric = _metric(runs)
    upwards = higher_is_better(metric)
    keys = list(runs[0].values)
    groups: dict[str, list[SweepRun]] = {}
    for run in runs:
        shared = {key: value for key, value in run.values.items() if key != SEED}
        groups.setdefault(json.dumps(shared), []).append(outcomes[run.name])
    told = [
        (_group(json.loads(shared), members, metric), _sorted(members, metric, upwards))
        for shared, members in groups.items()
    ]
    told.sort(key=lambda pair: _rank(pair[0].mean, upwards))
    return SweepResult(
        output_dir=str(folder),
        metric=metric,
        higher_is_better=upwards,
        keys=keys,
        runs=[run for _group, members in told for run in members],
        groups=[group for group, _members in told] if SEED in keys else [],
    )


def _outcome(run: SweptRun, train: Train, resume: bool) -> SweepRun:
    """What becomes of a run that is run now."""
    begun = _unfinished(run)
    try:
        result = train(run, resume and run.folder.is_dir())
    except Interrupted:
        raise
    except HfcliError as e:
        return replace(begun, state="failed", error=e.message, exit_code=e.exit_code)
    return replace(
        begun, state="done", metrics=result.metrics, steps=result.steps, seconds=result.seconds
    )


def _unfinished(run: SweptRun) -> SweepRun:
    return SweepRun(run.name, str(run.folder), run.values)


def _finished(folder: Path, runs: Sequence[SweptRun]) -> dict[str, SweepRun]:
    """What an earlier sweep in the folder has done of these runs, as they are now."""
    if not folder.is_dir() or runfolder.is_blank(folder):
        return {}
    path = folder / SWEEP_FILE
    if not os.path.lexists(path):
        raise RunError(f"{folder}: holds no sweep that could be resumed (no {SWEEP_FILE})")
    try:
        told = json.loads(files.read_bytes(path))
        before = {entry["name"]: SweepRun(**entry) for entry in told["runs"]}
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise RunError(
            f"{path}: is damaged, or is not the record of a sweep of hfcli",
            hint="put back a copy of it; or -o FOLDER starts elsewhere",
        ) from e
    return {
        run.name: before[run.name]
        for run in runs
        if run.name in before and before[run.name].state == "done" and _is_as_it_was(run)
    }


def _is_as_it_was(run: SweptRun) -> bool:
    """Whether a finished run is there, with this recipe and data; False: it is to go on.

    Raises:
        RunError: something has changed that a run cannot go on with.
    """
    before = record.read_record(run.folder)
    if before is None or not (run.folder / RESULT_FILE).is_file():
        return False
    recipe = with_split_of(run.recipe, before)
    now = record.describe_inputs(recipe) | {"model": before["model"]}
    try:
        return not record.check_unchanged(before, now)
    except RunError as e:
        raise RunError(f"{run.name}: {e.message}", hint=e.hint) from e


def _metric(runs: Sequence[SweptRun]) -> str:
    names = {run.recipe.training.metric_for_best_model or "loss" for run in runs}
    return names.pop().removeprefix("eval_") if len(names) == 1 else "loss"


def _group(shared: dict[str, Any], members: Sequence[SweepRun], metric: str) -> SeedGroup:
    values = [value for run in members if (value := run.metrics.get(metric)) is not None]
    return SeedGroup(
        values=shared,
        n=len(values),
        mean=statistics.mean(values) if values else None,
        sd=statistics.stdev(values) if len(values) > 1 else None,
    )


def _sorted(members: Sequence[SweepRun], metric: str, upwards: bool) -> list[SweepRun]:
    return sorted(members, key=lambda run: _rank(run.metrics.get(metric), upwards))


def _rank(value: float | None, upwards: bool) -> tuple[bool, float]:
    """Best first, and what has no value last."""
    if value is None:
        return True, 0.0
    return False, -value if upwards else value


def _text(result: SweepResult) -> str:
    return json.dumps(result.to_dict(), indent=2) + "\n"
