"""`hfcli export`: what to do with a finished run, merge its adapter or upload it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hfcli.cli.options import Json, Offline, Revision
from hfcli.cli.typed import TypedCommand, command_of, option

export_app = typer.Typer(
    no_args_is_help=True, help="Merge an adapter into a whole model, or upload a run."
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MergeRequest:
    """Merge a LoRA adapter into its base model.

    The folder holds a whole model: loading it needs no base model and no peft.
    """

    run: Annotated[str, typer.Argument(help="Adapter folder, or its Hub id.")]
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model.")]
    dtype: str = option("float32", "float32, bfloat16 or float16; only float32 is exact.")
    overwrite: bool = option(False, "Replace a merged model there.")
    revision: Revision = None
    offline: Offline = False
    json: Json = False


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PushRequest:
    """Upload a finished run to the Hub; a new repository is private.

    Model, tokenizer, card, report and numbers are uploaded; checkpoints and run.json are not.
    """

    run: Annotated[Path, typer.Argument(help="A folder written by finetune or merge.")]
    repo: Annotated[str, typer.Argument(help="owner/name on the Hub.")]
    public: bool = option(False, "Make a new repository public.")
    json: Json = False


def _merge(request: MergeRequest) -> None:
    from hfcli.cli.validate import one_of
    from hfcli.models.merge import DTYPES, merge_adapter
    from hfcli.render.export import show_merge
    from hfcli.render.streams import write_json

    result = merge_adapter(
        name=request.run,
        folder=request.output,
        dtype=one_of("--dtype", request.dtype, tuple(DTYPES)),
        revision=request.revision,
        overwrite=request.overwrite,
        offline=request.offline,
    )
    if request.json:
        write_json(result.to_dict())
    else:
        show_merge(result)


def _push(request: PushRequest) -> None:
    from hfcli.models.publish import push_folder
    from hfcli.render.export import show_push
    from hfcli.render.progress import is_live
    from hfcli.render.streams import write_json

    result = push_folder(
        folder=request.run, repo_id=request.repo, private=not request.public, progress=is_live()
    )
    if request.json:
        write_json(result.to_dict())
    else:
        show_push(result)


export_app.command("merge", cls=TypedCommand)(command_of(MergeRequest, _merge))
export_app.command("push", cls=TypedCommand)(command_of(PushRequest, _push))
