"""`hfcli eval`: from a run, a recipe or flags to numbers on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfcli.cli import options

if TYPE_CHECKING:
    from hfcli.evaluation.target import EvalFlags


def evaluate_command(
    target: Annotated[
        Path | None,
        typer.Argument(help="A folder written by finetune, or a recipe.", show_default=False),
    ] = None,
    overrides: options.Overrides = None,
    model: options.Model = None,
    revision: options.Revision = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="File to evaluate on; repeatable.", show_default=False),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Default: what the model's architecture is for.", show_default=False),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option("--text-column", "--text", show_default=False)
    ] = None,
    label_column: Annotated[
        str | None, typer.Option("--label-column", "--label", show_default=False)
    ] = None,
    column_names: Annotated[
        str | None,
        typer.Option(
            help="Names for the columns of files without a header line: text,label.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="train, validation or test. Default: test if there is one.", show_default=False
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Shipped metric or Hub id; repeatable.", show_default=False),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, show_default=False)] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, ...", show_default=False)
    ] = None,
    set_: options.Set = None,
    offline: options.Offline = False,
    json: options.Json = False,
) -> None:
    """Score a model: a finished run, a recipe's, or any model on any file.

    hfcli eval runs/mine | hfcli eval recipe.yaml | hfcli eval --model M --data FILE
    """
    from hfcli.evaluation.target import EvalFlags

    flags = EvalFlags(
        model=model,
        revision=revision,
        data=tuple(data or ()),
        task=task,
        text_column=text_column,
        label_column=label_column,
        column_names=column_names,
        split=split,
        metrics=tuple(metric or ()),
        batch_size=batch_size,
        device=device,
    )
    _evaluate(
        target=target,
        flags=flags,
        overrides=[*(overrides or []), *(set_ or [])],
        offline=offline,
        json=json,
    )


def _evaluate(
    *, target: Path | None, flags: EvalFlags, overrides: list[str], offline: bool, json: bool
) -> None:
    from hfcli.evaluation.run import evaluate
    from hfcli.evaluation.target import resolve_target
    from hfcli.render.progress import Reporter
    from hfcli.render.streams import write_json
    from hfcli.render.tables import show_eval

    with Reporter() as listener:
        recipe = resolve_target(
            target=target, flags=flags, overrides=overrides, listener=listener, offline=offline
        )
        result = evaluate(recipe=recipe, listener=listener, offline=offline)
    if json:
        write_json(result.to_dict())
    else:
        show_eval(result)
