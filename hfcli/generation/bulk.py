"""A file of prompts -> a file of texts, that no interruption can cost anything.

Rows stream in, finished texts go to the journal at once, and the output is written from it in
input order at the end; see `hfcli.generation.journal`, and `bulk_run` for the work. A text depends
on its own row, the settings and the seed alone. Knows nothing about terminals.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice

from hfcli.data.prompts import DASH, InputRow, InputRows, open_rows
from hfcli.generation.bulk_files import BulkFiles, check_columns, check_output, real_output
from hfcli.generation.bulk_run import BulkRun
from hfcli.generation.engines import open_engine
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.journal import hold, kept_dtype
from hfcli.generation.loading import ModelChoice
from hfcli.generation.prompts import uses_chat
from hfcli.generation.run import RequestMaker, TextOptions
from hfcli.generation.settings import not_applied
from hfcli.process import check_single_process
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import BulkResult, Listener, Note

FIRST_ROWS = 1000  # that are looked through for one that can be read


def generate_file(
    *,
    files: BulkFiles,
    choice: ModelChoice,
    settings: GenerationSettings,
    options: TextOptions,
    seed: int,
    listener: Listener,
    engine: str = "transformers",
    batch_size: int | None = None,
) -> BulkResult:
    """Generate `options.num_samples` texts for every row.

    Args:
        files: input, output, and how rows become prompts.
        choice: model, device and number type.
        settings: what was asked for; the rest is the model's own or a default.
        options: samples, stop strings, log-probabilities, templates, grammar.
        seed: with a row's id and the number of the sample, decides its text.
        listener: gets notes, progress, and the lines of an output to stdout.
        engine: see `hfcli.generation.engines`.
        batch_size: rows at a time; None: what fits.

    Raises:
        RecipeError: a broken template, or settings the engine does not have.
        DataError: the input cannot be read, or a row failed and `on_error` is `fail`.
        RunError: the output is from other settings, in use, or cannot be written.
        ModelError: see `hfcli.models`; a system prompt for a model without a chat template.
    """
    check_single_process()
    check_output(files)
    with contextlib.nullcontext() if files.output == DASH else hold(real_output(files)):
        if files.output != DASH and not files.overwrite:
            choice = replace(choice, kept_dtype=kept_dtype(real_output(files)))
        run = _opened(files, choice, settings, options, seed, listener, engine, batch_size)
        return run.to_stdout() if files.output == DASH else run.to_file()


def _opened(
    files: BulkFiles,
    choice: ModelChoice,
    settings: GenerationSettings,
    options: TextOptions,
    seed: int,
    listener: Listener,
    engine: str,
    batch_size: int | None,
) -> BulkRun:
    """The run, its input looked into and its model loaded; arguments as of `generate_file`."""
    rows = open_rows(
        files.input,
        format=files.input_format,
        split=files.split,
        offline=choice.offline,
        keep_stdin=files.output != DASH,
        encoding=files.encoding,
        quoting=files.quoting,
        tell=lambda told: listener(Note(f"{files.input}: {told}")),
    )
    stream = _begun(rows, files)
    opened = open_engine(
        engine,
        EngineOptions(
            choice=choice,
            listener=listener,
            batch_size=batch_size,
            many=options.logprobs is None,
        ),
    )
    maker = RequestMaker(opened.loaded, settings, options)
    _tell(maker, listener)
    return BulkRun(rows, stream, files, choice, engine, opened, maker, seed, listener)


def _begun(rows: InputRows, files: BulkFiles) -> Iterator[InputRow]:
    """The rows, the first of which have been looked at: a slip on the command line is told before
    a model is loaded for it, and is not an error of every row."""
    stream = rows.read()
    looked_at = []
    for row in islice(stream, FIRST_ROWS):
        looked_at.append(row)
        if row.error is None:
            check_columns(files, row)
            break
    return chain(looked_at, stream)


def _tell(maker: RequestMaker, listener: Listener) -> None:
    """What a user should know before thousands of texts are written."""
    if uses_chat(maker.loaded, maker.options.prompt) and maker.options.prompt.chat_template is None:
        listener(Note("using the model's chat template; --no-chat-template continues the raw text"))
    ignored = not_applied(maker.config)
    if (maker.config.num_beams or 1) > 1:
        ignored.append("num_beams")
    if ignored:
        listener(Note(f"the model's own settings {', '.join(ignored)} are not applied"))
