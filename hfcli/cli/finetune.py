"""`hfcli finetune`: from a recipe and overrides to a trained model in its folder."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfcli.cli import options

if TYPE_CHECKING:
    from hfcli.recipe.schema import Recipe


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
        overrides=[*(overrides or []), *(set_ or [])],
        output_dir=output_dir,
        device=device,
        resume=resume,
        overwrite=overwrite,
        dry_run=dry_run,
        push_to_hub=push_to_hub,
        offline=offline,
        verbose=verbose,
        json=json,
    )


def _finetune(
    *,
    recipe: Path,
    overrides: list[str],
    output_dir: str | None,
    device: str | None,
    resume: bool,
    overwrite: bool,
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
    if output_dir is not None:
        overrides = [*overrides, f"output_dir={output_dir}"]
    if device is not None:
        overrides = [*overrides, f"device={device}"]

    from hfcli.recipe.load import load_recipe, public_recipe, read_record, without_folders

    loaded = load_recipe(recipe, overrides)
    if dry_run:
        show_plan_of(recipe=loaded, offline=offline, verbose=verbose, json=json)
        return

    from hfcli.generation.samples import write_samples
    from hfcli.models.publish import check_push, push_folder
    from hfcli.render.progress import Reporter
    from hfcli.render.report.finetune import write_finetune_report
    from hfcli.render.streams import write_err, write_json
    from hfcli.render.tables import show_finetune
    from hfcli.training.run import RunOptions, finetune

    options = RunOptions(
        resume=resume,
        overwrite=overwrite,
        offline=offline,
        command=tuple(sys.argv),
        resume_command=_resume_command(),
        reproduce=read_record(recipe),
        write_samples=write_samples,
    )
    if push_to_hub is not None:
        check_push(repo_id=push_to_hub)  # a typo or a missing login is better known before the run
    # Some trackers print; stdout is the answer's.
    with contextlib.redirect_stdout(sys.stderr), Reporter(verbose=verbose) as listener:
        result = finetune(recipe=loaded, listener=listener, options=options)
        told = without_folders(result.to_dict())
        write_finetune_report(Path(result.output_dir), told, public_recipe(loaded))
    if json:
        write_json(result.to_dict())
    else:
        show_finetune(result)
    if push_to_hub is not None:
        pushed = push_folder(folder=Path(result.output_dir), repo_id=push_to_hub)
        write_err("\n".join([*(f"note: {note}" for note in pushed.notes), f"pushed: {pushed.url}"]))


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
    return shlex.join(["hfcli", *arguments])
