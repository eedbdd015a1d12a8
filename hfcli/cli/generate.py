"""`hfcli generate`: from flags and stdin to one text on stdout."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from hfcli.cli import options


def generate_command(
    context: typer.Context,
    prompt: Annotated[
        str | None, typer.Argument(help="The text to continue; - reads stdin.", show_default=False)
    ] = None,
    model: options.Model = None,
    revision: options.Revision = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest text in tokens. Default: 128.")
    ] = None,
    do_sample: Annotated[
        bool | None,
        typer.Option("--do-sample/--greedy", help="Sample, or take the likeliest token."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="Default: the model's, else 0.7; 0 is greedy.")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(min=0, help="Sample among the k likeliest; 0: among all.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(min=0, max=1, help="Sample within this share of probability.")
    ] = None,
    min_p: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least probability, as a share of the top's.")
    ] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1: repeat less.")] = None,
    num_beams: Annotated[int | None, typer.Option(min=1, help="Beam search with n beams.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same text.")] = 0,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    offline: options.Offline = False,
    json: options.Json = False,
) -> None:
    """Continue a prompt with a causal language model.

    The text goes to stdout as it is written, everything else to stderr. stdin is read when it is
    not a terminal, and stands before PROMPT when both are given.
    """
    _generate(
        context=context,
        prompt=prompt,
        model=model,
        revision=revision,
        device=device,
        dtype=dtype,
        offline=offline,
        seed=seed,
        json=json,
        settings={
            "max_new_tokens": max_new_tokens,
            "do_sample": do_sample,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "repetition_penalty": repetition_penalty,
            "num_beams": num_beams,
        },
    )


def _generate(
    *,
    context: typer.Context,
    prompt: str | None,
    model: str | None,
    revision: str | None,
    device: str,
    dtype: str,
    offline: bool,
    seed: int,
    json: bool,
    settings: dict[str, Any],
) -> None:
    text = read_prompt(prompt)
    if text is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)

    from hfcli.cli.validate import check_dtype, generation_settings
    from hfcli.generation.run import ModelChoice, generate
    from hfcli.render.progress import Reporter
    from hfcli.render.streams import write_json, write_out
    from hfcli.render.tables import show_generate

    checked = generation_settings(settings)
    choice = ModelChoice(model, revision, device, check_dtype(dtype), offline)
    with Reporter(stream_text=not json) as listener:
        result = generate(
            prompt=text, choice=choice, settings=checked, seed=seed, listener=listener
        )
    if json:
        write_json(result.to_dict())
    else:
        write_out("\n")
        show_generate(result)


def read_prompt(argument: str | None) -> str | None:
    """stdin, where it is not a terminal or `-` was given, followed by the argument.

    Alone, stdin loses one final line end (`echo` adds it); before an argument it keeps it. None
    when there is no text at all.
    """
    piped = ""
    if argument == "-" or (sys.stdin is not None and not sys.stdin.isatty()):
        piped = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    typed = "" if argument in (None, "-") else argument or ""
    if not typed:
        return piped.removesuffix("\n") or None
    if piped and not piped[-1].isspace():
        piped += " "
    return piped + typed
