"""`hfcli finetune`: from a recipe and overrides to a trained model in its folder."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfcli.cli.options import Json, Offline, Overrides, Set, Verbose
from hfcli.cli.typed import command_of, option
from hfcli.cli.variables import command_line, in_order, variables_in_force
from hfcli.origins import as_typed

if TYPE_CHECKING:
    from hfcli.recipe.load import Draft
    from hfcli.recipe.overrides import Override
    from hfcli.recipe.schema import Recipe
    from hfcli.results import FinetuneResult
    from hfcli.training.run import RunOptions


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FinetuneRequest:
    """Train a model as a recipe says, or as the run.json of an earlier run does.

    The output folder holds the model, the resolved recipe, metrics.jsonl and result.json.

    --sweep reads values as --set does; quotes or brackets hold one with a comma in it. The table
    at the end has the best run first, and means over seeds where seed is swept.
    """

    recipe: Annotated[Path, typer.Argument(help="The recipe (YAML).")]
    overrides: Overrides = None
    set_: Set = None
    output_dir: str | None = option(None, "Folder for the model.", "--output-dir", "-o")
    device: str | None = option(None, "Override the recipe's device.")
    resume: bool = option(False, "Resume from the last checkpoint in the output folder.")
    overwrite: bool = option(False, "Replace an earlier run in the output folder.")
    sweep: list[str] | None = option(
        None,
        "Run every combination of the values, each in a folder of its own; repeatable.",
        metavar="KEY=VALUE,VALUE",
    )
    dry_run: bool = option(False, "Load and check everything, show the plan of the run, and stop.")
    push_to_hub: str | None = option(
        None,
        "Push the finished model to this (new, private) repository of the Hub.",
        metavar="OWNER/NAME",
    )
    offline: Offline = False
    verbose: Verbose = False
    json: Json = False


def _finetune(request: FinetuneRequest) -> None:
    _refuse_clashes(request)
    overrides = overrides_of(request)

    from hfcli.recipe.load import read_recipe, validate

    draft = read_recipe(request.recipe)
    if request.sweep:
        _sweep(draft, overrides, request.sweep, request)
        return
    recipe = validate(draft.merged(overrides))
    if request.dry_run:
        show_plan_of(
            recipe=recipe, offline=request.offline, verbose=request.verbose, json=request.json
        )
    else:
        _run(recipe, _options(draft, request), request)


def _refuse_clashes(request: FinetuneRequest) -> None:
    resume, overwrite, push = map(as_typed, ("--resume", "--overwrite", "--push-to-hub"))
    if request.resume and request.overwrite:
        raise typer.BadParameter(f"{resume} and {overwrite} exclude each other")
    if request.push_to_hub is not None and (request.offline or request.dry_run):
        raise typer.BadParameter(f"{push} needs a run and the network")
    if request.push_to_hub is not None and request.sweep:
        raise typer.BadParameter(f"{push} pushes one run: the best of a sweep, later")


def _sweep(
    draft: Draft, overrides: Sequence[Override], sweeps: list[str], request: FinetuneRequest
) -> None:
    from hfcli.cli.sweep import plan_of_sweep, run_sweep

    if request.dry_run:
        plan_of_sweep(
            recipe=draft,
            overrides=overrides,
            sweeps=sweeps,
            offline=request.offline,
            json=request.json,
        )
        return
    options = replace(_options(draft, request), overwrite=False, more_follow=True)
    run_sweep(
        recipe=draft,
        overrides=overrides,
        sweeps=sweeps,
        resume=request.resume,
        overwrite=request.overwrite,
        train=lambda one, resume: _train(one, replace(options, resume=resume), request.verbose),
        json=request.json,
    )


def overrides_of(request: FinetuneRequest) -> list[Override]:
    """Return the overrides of the recipe; what was typed overrides variables."""
    from hfcli.recipe.overrides import Override

    environment, typed = in_order(request.overrides, request.set_)
    swept = {sweep.partition("=")[0] for sweep in request.sweep or ()}
    environment = [one for one in environment if one.key not in swept]
    for flag, key, value in (
        ("--output-dir", "output_dir", request.output_dir),
        ("--device", "device", request.device),
    ):
        if value is not None:
            one = Override.of_flag(flag, key, value)
            (typed if one.origin == flag else environment).append(one)
    return [*environment, *typed]


def _options(draft: Draft, request: FinetuneRequest) -> RunOptions:
    from hfcli.generation.samples import write_samples
    from hfcli.training.run import RunOptions

    return RunOptions(
        resume=request.resume,
        overwrite=request.overwrite,
        offline=request.offline,
        command=tuple(sys.argv),
        variables=variables_in_force(),
        resume_command=_resume_command(),
        reproduce=draft.record,
        reads=files_of(draft),
        write_samples=write_samples,
    )


def files_of(draft: Draft) -> tuple[Path, ...]:
    """Return the file of a recipe; none for the record of a run, which is written again."""
    return () if draft.record is not None else (Path(draft.file),)


def _run(recipe: Recipe, options: RunOptions, request: FinetuneRequest) -> None:
    """Train, show the result, and push the model with --push-to-hub."""
    from hfcli.models.publish import check_push, push_folder
    from hfcli.render.streams import write_err, write_json
    from hfcli.render.tables import show_finetune

    if request.push_to_hub is not None:
        # A typo or a missing login is better known before the run.
        check_push(repo_id=request.push_to_hub)
    result = _train(recipe, options, request.verbose)
    if request.json:
        write_json(result.to_dict())
    else:
        show_finetune(result)
    if request.push_to_hub is not None:
        pushed = push_folder(folder=Path(result.output_dir), repo_id=request.push_to_hub)
        write_err("\n".join([*(f"note: {note}" for note in pushed.notes), f"pushed: {pushed.url}"]))


def _train(recipe: Recipe, options: RunOptions, verbose: bool) -> FinetuneResult:
    """Train, and write the report beside the model."""
    from hfcli.recipe.load import public_recipe, without_folders
    from hfcli.render.progress import Reporter
    from hfcli.render.report.finetune import write_finetune_report
    from hfcli.training.run import finetune

    def report(result: FinetuneResult) -> None:
        told = without_folders(result.to_dict())
        write_finetune_report(Path(result.output_dir), told, public_recipe(recipe))

    # Some trackers print; stdout is the answer's.
    with contextlib.redirect_stdout(sys.stderr), Reporter(verbose=verbose) as listener:
        return finetune(
            recipe=recipe, listener=listener, options=replace(options, write_report=report)
        )


def show_plan_of(*, recipe: Recipe, offline: bool, json: bool, verbose: bool = False) -> None:
    """Make the plan of a run and show it."""
    from hfcli.render.plan import show_plan
    from hfcli.render.progress import Reporter
    from hfcli.render.streams import write_json
    from hfcli.training.plan import plan

    with Reporter(verbose=verbose) as listener:
        result = plan(recipe=recipe, listener=listener, offline=offline)
    if json:
        write_json(result.to_dict())
    else:
        show_plan(result)


def _resume_command() -> str:
    """Return the command that was typed, with --resume instead of --overwrite."""
    arguments = [argument for argument in sys.argv[1:] if argument not in ("--overwrite",)]
    if "--resume" not in arguments:
        arguments.append("--resume")
    return command_line(arguments)


finetune_command = command_of(FinetuneRequest, _finetune)
