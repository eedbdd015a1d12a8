"""`hfcli generate`: from flags and stdin to one text on stdout, or from a file to a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from hfcli.cli import options

FOR_FILES = (
    "input_format", "output_format", "split", "encoding", "quoting", "prompt_column",
    "keep_columns", "limit", "on_error", "overwrite", "batch_size",
)  # fmt: skip


def generate_command(
    context: typer.Context,
    prompt: Annotated[
        str | None, typer.Argument(help="The text to continue; - reads stdin.", show_default=False)
    ] = None,
    model: options.Model = None,
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    max_new_tokens: options.MaxNewTokens = None,
    do_sample: options.DoSample = None,
    temperature: options.Temperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    repetition_penalty: options.RepetitionPenalty = None,
    num_beams: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Beam search with n beams.")
    ] = None,
    stop: options.Stop = None,
    num_samples: Annotated[
        int, typer.Option("--num-samples", "-n", min=1, max=100_000, help="Texts for each prompt.")
    ] = 1,
    logprobs: Annotated[
        int | None,
        typer.Option(
            min=0, max=100, help="Record log-probabilities, with so many alternatives a token."
        ),
    ] = None,
    seed: options.Seed = 0,
    system: options.System = None,
    chat_template: options.ChatTemplate = None,
    template: Annotated[
        Path | None,
        typer.Option(help="File with a text and {column} or {prompt} in it.", show_default=False),
    ] = None,
    prompt_file: Annotated[
        Path | None,
        typer.Option("--prompt-file", "-f", help="Read the prompt from it.", show_default=False),
    ] = None,
    choices: Annotated[
        str | None,
        typer.Option(
            help="The text must be one of these: a,b,c. Spaces count.", show_default=False
        ),
    ] = None,
    regex: Annotated[
        str | None, typer.Option(help="The text must match all of it.", show_default=False)
    ] = None,
    json_schema: Annotated[
        Path | None,
        typer.Option(help="The text must be JSON of this schema (a file).", show_default=False),
    ] = None,
    prompt_lookup: Annotated[
        bool, typer.Option("--prompt-lookup", help="Guess ahead from the prompt; the text stays.")
    ] = False,
    draft_model: Annotated[
        str | None,
        typer.Option(help="Guess ahead with a smaller model; the text stays.", show_default=False),
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            show_default=False,
            help="Many prompts: jsonl, json, csv, tsv, parquet or txt file, Hub data set, or -.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            show_default=False,
            help="Where their texts go: jsonl, csv or parquet file, or - for stdout.",
        ),
    ] = None,
    input_format: Annotated[
        str | None, typer.Option(help="Default: by the suffix.", show_default=False)
    ] = None,
    output_format: Annotated[
        str | None, typer.Option(help="Default: by the suffix.", show_default=False)
    ] = None,
    split: Annotated[str, typer.Option(help="Of a Hub data set.")] = "train",
    encoding: options.Encoding = None,
    quoting: Annotated[
        str, typer.Option(help="Quotes around cells of a tsv file: auto, always or never.")
    ] = "auto",
    prompt_column: Annotated[
        str | None,
        typer.Option(help="Default: prompt, messages or text.", show_default=False),
    ] = None,
    keep_columns: Annotated[
        bool, typer.Option("--keep-columns", help="Keep the input's other columns.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many rows.", show_default=False)
    ] = None,
    on_error: Annotated[
        str,
        typer.Option(help="A row that fails: record its error, skip the row, or fail at once."),
    ] = "record",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew whatever OUTPUT holds.")
    ] = False,
    batch_size: Annotated[str, typer.Option(help="Rows at a time: auto, or a number.")] = "auto",
    engine: options.Engine = "transformers",
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    without: options.Without = None,
    verbose: options.Verbose = False,
    load_in: options.LoadIn = None,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
    offline: options.Offline = False,
    json: options.Json = False,
) -> None:
    """Continue a prompt with a causal language model, or a file of prompts.

    The text goes to stdout as it is written, everything else to stderr. stdin is read when it is
    not a terminal, and stands before PROMPT when both are given. With a PROMPT, stdin is left out
    where it is a file that another command has read from (while read x), a device, or a pipe
    without data for 10 s; </dev/null keeps it out at once.

    With --input and --output, every row of a file gets its text. An interrupted run goes on where
    it stopped when the same command is given again.
    """  # fmt: skip
    _generate(context=context, flags=dict(context.params))


def _generate(*, context: typer.Context, flags: dict[str, Any]) -> None:
    if flags["input"] is not None or flags["output"] is not None:
        _generate_file(flags)
        return
    text = read_prompt(flags["prompt"], flags["prompt_file"])
    if text is None:
        _refuse_nothing(context, flags)
    defaults = {parameter.name: parameter.default for parameter in context.command.params}
    for name in FOR_FILES:
        if flags[name] != defaults[name]:
            flag = name.replace("_", "-")
            raise typer.BadParameter(f"--{flag} is for many prompts, with --input and --output")

    from hfcli.cli import validate
    from hfcli.fast import startup as lean
    from hfcli.generation.run import generate
    from hfcli.render.progress import Reporter
    from hfcli.render.streams import write_json, write_out
    from hfcli.render.tables import show_generate
    from hfcli.tasks.templates import fill_template

    template = validate.read_text(flags["template"])
    if template is not None:
        text = fill_template(template, {"prompt": text})
    settings = validate.generation_settings(flags)
    texts = validate.text_options(flags)
    choice = validate.model_choice(flags)
    lean.allow()
    with Reporter(stream_text=not flags["json"], verbose=flags["verbose"]) as listener:
        results = generate(
            prompt=text,
            choice=choice,
            settings=settings,
            options=texts,
            seed=flags["seed"],
            listener=listener,
            engine=flags["engine"],
            prompt_lookup=flags["prompt_lookup"],
            draft_model=flags["draft_model"],
        )
    if flags["json"]:
        records = [result.to_dict() for result in results]
        write_json(records[0] if texts.num_samples == 1 else records)
        return
    if texts.num_samples == 1:
        write_out("\n")
    else:
        write_out("\n".join(f"{result.text}\n" for result in results))
    show_generate(results, guesses=bool(flags["prompt_lookup"] or flags["draft_model"]))


def _refuse_nothing(context: typer.Context, flags: dict[str, Any]) -> NoReturn:
    """The help where nothing was typed on a terminal.

    Raises:
        RecipeError: there was a prompt, and nothing in it.
    """
    typed = any(flags[name] is not None for name in ("prompt", "prompt_file"))
    if typed or (sys.stdin is not None and not sys.stdin.isatty()):
        from hfcli.errors import RecipeError

        raise RecipeError("the prompt is empty", hint="`hfcli generate --help` tells more")
    typer.echo(context.get_help(), err=True)
    raise typer.Exit(2)


def _generate_file(flags: dict[str, Any]) -> None:
    for name in ("input", "output"):
        if flags[name] is None:
            raise typer.BadParameter("--input and --output go together; - is stdin or stdout")
    for name in ("prompt", "prompt_file", "num_beams"):
        if flags[name] is not None:
            flag = "PROMPT" if name == "prompt" else f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{flag} does not go with --input")
    if flags["prompt_lookup"] or flags["draft_model"]:
        raise typer.BadParameter("--prompt-lookup and --draft-model are for a single prompt")

    from hfcli.cli import validate
    from hfcli.cli.stdin import tell_if_waiting
    from hfcli.fast import startup as lean
    from hfcli.generation.bulk import generate_file
    from hfcli.render.progress import Reporter
    from hfcli.render.streams import write_err, write_json
    from hfcli.render.tables import describe_bulk

    files = validate.bulk_files(flags)
    to_stdout = files.output == "-"
    if files.input == "-":
        tell_if_waiting()
    lean.allow()
    with Reporter(stream_text=to_stdout, verbose=flags["verbose"]) as listener:
        result = generate_file(
            files=files,
            choice=validate.model_choice(flags),
            settings=validate.generation_settings(flags),
            options=validate.text_options(flags),
            seed=flags["seed"],
            listener=listener,
            engine=flags["engine"],
            batch_size=validate.batch_size(flags["batch_size"]),
        )
    if flags["json"] and not to_stdout:
        write_json(result.to_dict())
    write_err(describe_bulk(result))
    if result.errors and files.on_error != "skip":
        raise typer.Exit(6)


def read_prompt(argument: str | None, file: Path | None = None) -> str | None:
    """Return stdin, then the file, then the argument; `hfcli.cli.stdin` says when stdin is read.

    Alone, stdin or a file loses one final line end (`echo` and editors add it); before more text
    it keeps it. None when there is no text at all.

    Raises:
        DataError: stdin or the file cannot be read, or is not UTF-8.
    """
    from hfcli.cli.stdin import read_stdin

    typed = "" if argument in (None, "-") else argument or ""
    own = bool(typed) or file is not None
    piped = ""
    if argument == "-" or (sys.stdin is not None and not sys.stdin.isatty()):
        piped = read_stdin(typed=own and argument != "-")
    if own and piped:
        from hfcli.render.streams import write_err

        write_err(f"note: {len(piped):,} characters of stdin stand before the prompt")
    if file is not None:
        from hfcli.cli.validate import read_text

        piped = _joined(piped, read_text(file) or "")
    return _joined(piped, typed) if typed else piped.removesuffix("\n") or None


def _joined(before: str, after: str) -> str:
    return f"{before} {after}" if before and not before[-1].isspace() else before + after
