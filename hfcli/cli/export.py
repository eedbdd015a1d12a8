"""`hfcli export`: what to do with a finished run, merge its adapter or upload it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfcli.cli import options
from hfcli.cli.typed import TypedCommand

export_app = typer.Typer(no_args_is_help=True, help="Make a whole model of an adapter; upload.")


@export_app.command("merge", cls=TypedCommand)
def merge_command(
    run: Annotated[str, typer.Argument(help="Adapter folder, or its Hub id.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the model goes.", show_default=False)
    ],
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16 or float16; only float32 loses nothing.")
    ] = "float32",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a merged model there.")
    ] = False,
    revision: options.Revision = None,
    offline: options.Offline = False,
    json: options.Json = False,
) -> None:
    """Merge a LoRA adapter into its base model.

    The folder holds a whole model: no base model and no peft are needed to load it.
    """
    _merge(
        run=run,
        output=output,
        dtype=dtype,
        overwrite=overwrite,
        revision=revision,
        offline=offline,
        json=json,
    )


@export_app.command("push", cls=TypedCommand)
def push_command(
    run: Annotated[
        Path, typer.Argument(help="A folder written by finetune or merge.", show_default=False)
    ],
    repo: Annotated[str, typer.Argument(help="owner/name on the Hub.", show_default=False)],
    public: Annotated[
        bool, typer.Option("--public", help="Let everyone see a new repository.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Upload a finished run to the Hub; a new repository is private.

    Model, tokenizer, card, report and numbers go there; checkpoints and run.json stay here.
    """
    _push(run=run, repo=repo, public=public, json=json)


def _merge(
    *,
    run: str,
    output: Path,
    dtype: str,
    overwrite: bool,
    revision: str | None,
    offline: bool,
    json: bool,
) -> None:
    from hfcli.cli.validate import one_of
    from hfcli.models.merge import DTYPES, merge_adapter
    from hfcli.render.export import show_merge
    from hfcli.render.streams import write_json

    one_of("--dtype", dtype, DTYPES)
    result = merge_adapter(
        name=run,
        folder=output,
        dtype=dtype,
        revision=revision,
        overwrite=overwrite,
        offline=offline,
    )
    if json:
        write_json(result.to_dict())
    else:
        show_merge(result)


def _push(*, run: Path, repo: str, public: bool, json: bool) -> None:
    from hfcli.models.publish import push_folder
    from hfcli.render.export import show_push
    from hfcli.render.progress import is_live
    from hfcli.render.streams import write_json

    result = push_folder(folder=run, repo_id=repo, private=not public, progress=is_live())
    if json:
        write_json(result.to_dict())
    else:
        show_push(result)
