"""`hfcli generate`: from flags and stdin to one text on stdout, or from a file to a file."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from hfcli.cli.options import ChatTemplate, DecodingFlags, Encoding, Json, ModelFlags, System
from hfcli.cli.typed import ShowHelp, argument, command_of, option
from hfcli.cli.variables import variables_in_force
from hfcli.origins import as_typed

if TYPE_CHECKING:
    from hfcli.data.parsed import Quoting
    from hfcli.generation.bulk_files import BulkFiles
    from hfcli.generation.run import TextOptions

QUOTING: "tuple[Quoting, ...]" = ("auto", "always", "never")
ON_ERROR = ("record", "skip", "fail")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FileFlags:
    """How many prompts are read and their texts written; only with --input and --output."""

    input_format: str | None = option(None, "Format of --input. Default: its suffix.")
    output_format: str | None = option(None, "Format of --output. Default: its suffix.")
    split: str = option("train", "Split to read, for Hub datasets.")
    encoding: Encoding = None
    quoting: str = option("auto", "Quotes around cells of a tsv file: auto, always or never.")
    prompt_column: str | None = option(
        None, "Column with the prompt. Default: prompt, messages or text."
    )
    keep_columns: bool = option(False, "Copy the input's other columns to the output.")
    limit: int | None = option(None, "Maximum number of rows to read.", min=1)
    on_error: str = option(
        "record", "A row that fails: record its error, skip the row, or fail at once."
    )
    overwrite: bool = option(False, "Start over, replacing the file OUTPUT.")
    batch_size: str = option("auto", "Rows at a time: auto, or a number.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GenerateRequest(FileFlags, DecodingFlags, ModelFlags):
    """Continue a prompt with a causal language model, or a file of prompts.

    The text goes to stdout as it is written, everything else to stderr. stdin is read when it is
    not a terminal, and stands before PROMPT when both are given. With a PROMPT, stdin is left out
    where it is a file that another command has read from (while read x), a device, or a pipe
    without data for 10 s; </dev/null keeps it out at once.

    With --input and --output, every row of a file gets its text. An interrupted run resumes when
    the same command is given again.
    """

    prompt: str | None = argument(None, "The text to continue; - reads stdin.")
    prompt_file: Path | None = option(None, "File with the prompt.", "--prompt-file", "-f")
    template: Path | None = option(None, "File with a text and {column} or {prompt} in it.")
    system: System = None
    chat_template: ChatTemplate = None
    num_samples: int = option(1, "Texts for each prompt.", "--num-samples", "-n", min=1, max=100000)
    num_beams: int | None = option(None, "Beams of beam search. Default: none.", min=1, max=10000)
    logprobs: int | None = option(
        None, "Record log-probabilities, with this many alternatives a token.", min=0, max=100
    )
    choices: str | None = option(None, "Constrain the text to one of these: a,b,c. Spaces count.")
    regex: str | None = option(None, "Constrain the text to a regular expression.")
    json_schema: Path | None = option(None, "Constrain the text to JSON; file with the schema.")
    prompt_lookup: bool = option(
        False, "Use prompt-lookup speculative decoding; the output is unchanged."
    )
    draft_model: str | None = option(
        None, "Use this smaller model for speculative decoding; the output is unchanged."
    )
    input: str | None = option(
        None,
        "Many prompts: jsonl, json, csv, tsv, parquet or txt file, Hub dataset, or -.",
        "--input",
        "-i",
    )
    output: str | None = option(
        None, "File for their texts: jsonl, csv or parquet, or - for stdout.", "--output", "-o"
    )
    json: Json = False


def _generate(request: GenerateRequest) -> None:
    if request.input is not None or request.output is not None:
        _generate_file(request)
        return
    from hfcli.cli.stdin import read_prompt

    prompt = read_prompt(request.prompt, request.prompt_file)
    if prompt is None:
        _refuse_nothing(request)
    _refuse_file_flags(request)
    _generate_text(prompt, request)


def _generate_text(prompt: str, request: GenerateRequest) -> None:
    from hfcli.cli import validate
    from hfcli.fast import startup
    from hfcli.generation.run import generate
    from hfcli.render.progress import Reporter
    from hfcli.render.streams import write_json, write_out
    from hfcli.render.tables import show_generate
    from hfcli.tasks.templates import fill_template

    if request.template is not None:
        prompt = fill_template(validate.read_text(request.template), {"prompt": prompt})
    settings = validate.generation_settings(request, num_beams=request.num_beams)
    options = _text_options(request)
    choice = validate.model_choice(request)
    startup.allow()
    with Reporter(stream_text=not request.json, verbose=request.verbose) as listener:
        results = generate(
            prompt=prompt,
            choice=choice,
            settings=settings,
            options=options,
            seed=request.seed,
            listener=listener,
            engine=request.engine,
            prompt_lookup=request.prompt_lookup,
            draft_model=request.draft_model,
        )
    if request.json:
        records = [result.to_dict() for result in results]
        write_json(records[0] if request.num_samples == 1 else records)
        return
    if request.num_samples == 1:
        write_out("\n")
    else:
        write_out("\n".join(f"{result.text}\n" for result in results))
    show_generate(results, guesses=request.prompt_lookup or request.draft_model is not None)


def _refuse_nothing(request: GenerateRequest) -> NoReturn:
    """
    Raises:
        ShowHelp: nothing was typed on a terminal.
        RecipeError: there was a prompt, and nothing in it.
    """
    from hfcli.errors import RecipeError

    typed = request.prompt is not None or request.prompt_file is not None
    if typed or (sys.stdin is not None and not sys.stdin.isatty()):
        raise RecipeError("the prompt is empty", hint="see `hfcli generate --help`")
    raise ShowHelp


def _refuse_file_flags(request: GenerateRequest) -> None:
    for name, default in vars(FileFlags()).items():
        if getattr(request, name) != default:
            flag = as_typed(f"--{name.replace('_', '-')}")
            raise typer.BadParameter(f"{flag} is for many prompts, with --input and --output")


def _generate_file(request: GenerateRequest) -> None:
    if request.input is None or request.output is None:
        raise typer.BadParameter("--input and --output go together; - is stdin or stdout")
    for flag, value in (
        ("PROMPT", request.prompt),
        ("--prompt-file", request.prompt_file),
        ("--num-beams", request.num_beams),
    ):
        if value is not None:
            raise typer.BadParameter(f"{as_typed(flag)} does not go with {as_typed('--input')}")
    if request.prompt_lookup or request.draft_model:
        flags = " and ".join(map(as_typed, ("--prompt-lookup", "--draft-model")))
        raise typer.BadParameter(f"{flags} are for a single prompt")

    from hfcli.cli import validate
    from hfcli.cli.stdin import tell_if_waiting
    from hfcli.fast import startup
    from hfcli.generation.bulk import generate_file
    from hfcli.render.progress import Reporter
    from hfcli.render.streams import write_err, write_json
    from hfcli.render.tables import describe_bulk

    files = _bulk_files(request, request.input, request.output)
    to_stdout = files.output == "-"
    if files.input == "-":
        tell_if_waiting()
    startup.allow()
    with Reporter(stream_text=to_stdout, verbose=request.verbose) as listener:
        result = generate_file(
            files=files,
            choice=validate.model_choice(request),
            settings=validate.generation_settings(request),
            options=_text_options(request),
            seed=request.seed,
            listener=listener,
            engine=request.engine,
            batch_size=validate.batch_size(request.batch_size),
        )
    if request.json and not to_stdout:
        write_json(result.to_dict())
    write_err(describe_bulk(result))
    if result.errors and files.on_error != "skip":
        raise typer.Exit(6)


def _text_options(request: GenerateRequest) -> "TextOptions":
    """Return samples, stop strings, log-probabilities, templates and grammar.

    Raises:
        RecipeError, DataError: see `hfcli.cli.validate`.
    """
    from hfcli.cli import validate
    from hfcli.generation.prompts import PromptOptions
    from hfcli.generation.run import TextOptions

    return TextOptions(
        num_samples=request.num_samples,
        stops=validate.stop_strings(request.stop),
        logprobs=request.logprobs,
        prompt=PromptOptions(request.system, request.chat_template),
        grammar=validate.grammar(
            choices=request.choices, regex=request.regex, json_schema=request.json_schema
        ),
    )


def _bulk_files(request: GenerateRequest, source: str, target: str) -> "BulkFiles":
    """Return input and output of a bulk run.

    Raises:
        RecipeError, DataError: an unknown word, or a template that cannot be read.
    """
    from hfcli.cli import validate
    from hfcli.generation.bulk_files import BulkFiles

    return BulkFiles(
        input=source,
        output=target,
        input_format=request.input_format,
        encoding=validate.encoding(request.encoding),
        quoting=validate.one_of("--quoting", request.quoting, QUOTING),
        output_format=request.output_format,
        split=request.split,
        prompt_column=request.prompt_column,
        template=None if request.template is None else validate.read_text(request.template),
        keep_columns=request.keep_columns,
        on_error=validate.one_of("--on-error", request.on_error, ON_ERROR),
        overwrite=request.overwrite,
        limit=request.limit,
        environment=variables_in_force(),
    )


generate_command = command_of(GenerateRequest, _generate)
