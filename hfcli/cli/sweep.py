"""`hfcli finetune --sweep`: every combination of some values of a recipe, and one table of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from hfcli.recipe.load import Draft
    from hfcli.recipe.overrides import Override
    from hfcli.recipe.schema import Recipe
    from hfcli.recipe.sweep import SweptRun
    from hfcli.results import FinetuneResult, SweepPlan, SweepResult

MOST_PLANS = 20  # a plan takes a second
PLANNED_OF_MANY = 3
SOME_FAILED = 6


def run_sweep(
    *,
    recipe: Path | Draft,
    overrides: Sequence[str | Override],
    sweeps: Sequence[str],
    resume: bool,
    overwrite: bool,
    train: Callable[[Recipe, bool], FinetuneResult],
    json: bool,
) -> None:
    """Validate every combination, train each, and show the table.

    Args:
        recipe: its file, or what was read of it.
        overrides: the same for all runs.
        sweeps: `key=value,value`.
        resume, overwrite: what becomes of an earlier sweep in the folder.
        train: one recipe, with its report; True: go on with what is in its folder.
        json: the result on stdout as JSON.
    """
    from hfcli.cli.finetune import files_of
    from hfcli.recipe.sweep import load_sweep

    folder, runs = load_sweep(recipe, overrides, sweeps)

    from hfcli.render.progress import Reporter
    from hfcli.render.streams import write_json
    from hfcli.render.sweep import show_sweep
    from hfcli.training.sweep import sweep

    result = sweep(
        runs=runs,
        folder=folder,
        train=lambda run, go_on: train(run.recipe, go_on),
        listener=Reporter(),
        resume=resume,
        overwrite=overwrite,
        reads=[recipe] if isinstance(recipe, Path) else files_of(recipe),
    )
    if json:
        write_json(result.to_dict())
    else:
        show_sweep(result)
    _exit(result)


def plan_of_sweep(
    *,
    recipe: Path | Draft,
    overrides: Sequence[str | Override],
    sweeps: Sequence[str],
    offline: bool,
    json: bool,
) -> None:
    """Validate every combination, plan each, and show the table."""
    from hfcli.recipe.sweep import load_sweep

    folder, runs = load_sweep(recipe, overrides, sweeps)

    from hfcli.render.progress import Reporter
    from hfcli.render.streams import write_json
    from hfcli.render.sweep import show_sweep_plan
    from hfcli.results import Note, PlanResult
    from hfcli.training.plan import plan
    from hfcli.training.sweep import plan_sweep

    listener = Reporter()
    planned = runs if len(runs) <= MOST_PLANS else runs[:PLANNED_OF_MANY]
    if len(planned) < len(runs):
        listener(Note(f"{len(runs):,} runs, all valid; the first {len(planned)} are planned"))

    def plan_one(run: SweptRun) -> PlanResult:
        listener(Note(f"planning {run.name}"))
        return plan(recipe=run.recipe, listener=listener, offline=offline)

    result = plan_sweep(runs=planned, folder=folder, plan=plan_one)
    if json:
        write_json(result.to_dict())
    else:
        show_sweep_plan(result)
    _exit(result)


def _exit(result: SweepResult | SweepPlan) -> None:
    """0 when no run failed, 6 when some did; when all did, the code of the first."""
    codes = [run.exit_code for run in result.runs if run.exit_code is not None]
    if codes:
        raise typer.Exit(SOME_FAILED if len(codes) < len(result.runs) else codes[0])
