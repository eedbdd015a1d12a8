"""`hfcli finetune`: from a recipe and overrides to a trained model in its folder."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfcli.cli import options
from hfcli.cli.variables import command_line, in_order, parameters_in_force, variables_in_force

if TYPE_CHECKING:
    from hfcli.recipe.load import Draft
    from hfcli.recipe.overrides import Override
    from hfcli.recipe.schema import Recipe
    from hfcli.results import FinetuneResult
    from hfcli.training.run import RunOptions


def finetune_command(
    recipe: Annotated[Path, typer.Argument(help="The recipe (YAML).", show_default=False)],
    overrides: options.Overrides = None,
    set_: options.Set = None,
    output_dir: Annotated[
        str | None,
        typer.Option("--output-dir", "-o", help="Where the model goes.", show_default=False),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Override the recipe's device.", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in the output folder.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier run in the output folder.")
    ] = False,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep",
            metavar="KEY=VALUE,VALUE",
            help="Run the recipe with each of the values, read as --set reads them (one with a"
            " comma in it in quotes or brackets), in a folder of its own under the output folder;"
            " repeatable: every combination. Ends in a table, best first; with seed swept, means"
            " over seeds.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Load and check everything, say what the run would be, and stop."
        ),
    ] = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Push the finished model to this (new, private) repository of the Hub.",
            show_default=False,
        ),
    ] = None,
    offline: options.Offline = False,
    verbose: options.Verbose = False,
    json: options.Json = False,
) -> None:
    """Train a model as a recipe says, or as the run.json of an earlier run does.

    The output folder holds the model, the resolved recipe, metrics.jsonl and result.json.
    """
    _finetune(
        recipe=recipe,
        overrides=overrides,
        set_=set_,
        output_dir=output_dir,
        device=device,
        resume=resume,
        overwrite=overwrite,
        sweeps=sweep or [],
        dry_run=dry_run,
        push_to_hub=push_to_hub,
        offline=offline,
        verbose=verbose,
        json=json,
    )


def _finetune(
    *,
    recipe: Path,
    overrides: list[str] | None,
    set_: list[str] | None,
    output_dir: str | None,
    device: str | None,
    resume: bool,
    overwrite: bool,
    sweeps: list[str],
    dry_run: bool,
    push_to_hub: str | None,
    offline: bool,
    verbose: bool,
    json: bool,
) -> None:
    if resume and overwrite:
        raise typer.BadParameter("--resume and --overwrite exclude each other")
    if push_to_hub is not None and (offline or dry_run):
        raise typer.BadParameter("--push-to-hub needs a run and the network")
    if push_to_hub is not None and sweeps:
        raise typer.BadParameter("--push-to-hub pushes one run: the best of a sweep, later")
    given = _given(overrides, set_, {"output_dir": output_dir, "device": device}, sweeps)

    from hfcli.recipe.load import read_recipe, validate

    draft = read_recipe(recipe)
    if sweeps and dry_run:
        from hfcli.cli.sweep import plan_of_sweep

        plan_of_sweep(recipe=draft, overrides=given, sweeps=sweeps, offline=offline, json=json)
    elif sweeps:
        from hfcli.cli.sweep import run_sweep

        run_sweep(
            recipe=draft,
            overrides=given,
            sweeps=sweeps,
            resume=resume,
            overwrite=overwrite,
            train=lambda one, go_on: _train(
                one,
                replace(_options(draft, go_on, False, offline), more_follow=True),
                verbose,
            ),
            json=json,
        )
    else:
        loaded = validate(draft.merged(given))
        if dry_run:
            show_plan_of(recipe=loaded, offline=offline, verbose=verbose, json=json)
        else:
            asked = _options(draft, resume, overwrite, offline)
            _run(loaded, asked, push_to_hub=push_to_hub, verbose=verbose, json=json)


def _given(
    overrides: list[str] | None,
    set_: list[str] | None,
    flags: Mapping[str, str | None],
    sweeps: Sequence[str] = (),
) -> list[str | Override]:
    """What is to stand in place of the recipe's values: what was typed goes over variables."""
    by_variable = parameters_in_force()
    environment, typed = in_order(overrides, set_)
    swept = {sweep.partition("=")[0] for sweep in sweeps}
    environment = [one for one in environment if one.partition("=")[0] not in swept]
    first = {key: value if key in by_variable else None for key, value in flags.items()}
    last = {key: None if key in by_variable else value for key, value in flags.items()}
    return [*with_flags(environment, **first), *with_flags(typed, **last)]


def with_flags(overrides: list[str], **flags: str | None) -> list[str | Override]:
    """Overrides as they were typed, and the values of flags for the recipe's keys of that name."""
    from hfcli.recipe.overrides import Override

    typed = [
        Override.of_flag(f"--{key.replace('_', '-')}", key, value)
        for key, value in flags.items()
        if value is not None
    ]
    return [*overrides, *typed]


def _options(draft: Draft, resume: bool, overwrite: bool, offline: bool) -> RunOptions:
    from hfcli.generation.samples import write_samples
    from hfcli.training.run import RunOptions

    return RunOptions(
        resume=resume,
        overwrite=overwrite,
        offline=offline,
        command=tuple(sys.argv),
        variables=variables_in_force(),
        resume_command=_resume_command(),
        reproduce=draft.record,
        reads=files_of(draft),
        write_samples=write_samples,
    )


def files_of(draft: Draft) -> tuple[Path, ...]:
    """Return the file of a recipe; none of a record, of which everything is written anew."""
    return () if draft.record is not None else (Path(draft.file),)


def _run(
    recipe: Recipe, options: RunOptions, *, push_to_hub: str | None, verbose: bool, json: bool
) -> None:
    """Train, show the result, and push the model where that was asked for."""
    from hfcli.models.publish import check_push, push_folder
    from hfcli.render.streams import write_err, write_json
    from hfcli.render.tables import show_finetune

    if push_to_hub is not None:
        check_push(repo_id=push_to_hub)  # a typo or a missing login is better known before the run
    result = _train(recipe, options, verbose)
    if json:
        write_json(result.to_dict())
    else:
        show_finetune(result)
    if push_to_hub is not None:
        pushed = push_folder(folder=Path(result.output_dir), repo_id=push_to_hub)
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
    """The command that was typed, going on instead of beginning anew."""
    arguments = [argument for argument in sys.argv[1:] if argument not in ("--overwrite",)]
    if "--resume" not in arguments:
        arguments.append("--resume")
    return command_line(arguments)
