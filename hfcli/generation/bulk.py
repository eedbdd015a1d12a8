"""A file of prompts -> a file of texts, that no interruption can cost anything.

Rows stream in, finished texts go to the journal at once, and the output is written from it in
input order at the end; see `hfcli.generation.journal`. A text depends on its own row, the
settings and the seed alone. Knows nothing about terminals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import hfcli
from hfcli.data.prompts import DASH, InputRow, InputRows, open_rows
from hfcli.errors import DataError, HfcliError
from hfcli.generation.bulk_files import BulkFiles, check_columns, check_output
from hfcli.generation.done import Done, Entry
from hfcli.generation.engines import open_engine
from hfcli.generation.engines.base import Engine, EngineOptions
from hfcli.generation.in_order import InOrder
from hfcli.generation.journal import Journal
from hfcli.generation.loading import ModelChoice
from hfcli.generation.prompts import uses_chat
from hfcli.generation.request import Request
from hfcli.generation.row_requests import RowRequests, Wanted
from hfcli.generation.run import RequestMaker, TextOptions
from hfcli.generation.settings import effective_settings, not_applied
from hfcli.generation.writers import json_line, output_suffix, write_records
from hfcli.models.fingerprint import weights_fingerprint
from hfcli.recipe.generation import GenerationSettings
from hfcli.results import BulkResult, Listener, Note, TextPiece, TextsDone

SECONDS_BETWEEN_REPORTS = 0.2
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
    check_output(files)
    rows = open_rows(
        files.input,
        format=files.input_format,
        split=files.split,
        offline=choice.offline,
        keep_stdin=files.output != DASH,
    )
    stream = _begun(rows, files)
    opened = open_engine(
        engine, EngineOptions(choice=choice, listener=listener, batch_size=batch_size)
    )
    maker = RequestMaker(opened.loaded, settings, options)
    _tell(maker, listener)
    run = _Run(rows, stream, files, choice, engine, opened, maker, seed, listener)
    return run.to_stdout() if files.output == DASH else run.to_file()


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
        listener(Note("prompts are put as chat messages; --no-chat-template continues them"))
    ignored = not_applied(maker.config)
    if (maker.config.num_beams or 1) > 1:
        ignored.append("num_beams")
    if ignored:
        listener(Note(f"the model's own settings {', '.join(ignored)} are not applied"))


class _Run:
    """One bulk run."""

    def __init__(
        self,
        rows: InputRows,
        stream: Iterator[InputRow],
        files: BulkFiles,
        choice: ModelChoice,
        engine_name: str,
        engine: Engine,
        maker: RequestMaker,
        seed: int,
        listener: Listener,
    ) -> None:
        self.rows = rows
        self.stream = stream
        self.files = files
        self.choice = choice
        self.engine_name = engine_name
        self.engine = engine
        self.maker = maker
        self.seed = seed
        self.listener = listener
        self.row_requests = RowRequests(files, maker, seed)
        self.done = Done()
        self.wanted: dict[int, Wanted] = {}
        self.n_rows = 0
        self.started = time.perf_counter()
        self._last_report = 0.0

    def to_file(self) -> BulkResult:
        output = Path(self.files.output)
        with Journal(output, self._asked(), overwrite=self.files.overwrite) as journal:
            if journal.complete:
                return self._nothing_to_do(journal)
            self.done = journal.done
            resumed = self.done.texts
            try:
                self._generate(journal.add)
            except KeyboardInterrupt:
                self.listener(Note(f"{self.done.texts:,} texts are kept; the same command goes on"))
                raise
            partial = output.with_name(output.name + ".tmp")
            suffix = output_suffix(output, self.files.output_format)
            write_records(partial, suffix, lambda: self._dressed(journal.rows()))
            done = self.done
            counts = {"rows": self.n_rows, "texts": done.texts, "errors": done.errors}
            journal.close_with(partial, counts)
        return self._result(str(output), resumed)

    def to_stdout(self) -> BulkResult:
        order: InOrder[dict[str, Any]] = InOrder()

        def write(entry: Entry) -> None:
            self.done.add(entry)
            rows = order.push(entry.row, entry.sample, entry.of, entry.record)
            for record in self._dressed(rows):
                self.listener(TextPiece(json_line(record)))

        self._generate(write)
        return self._result(DASH, 0)

    def _generate(self, keep: Callable[[Entry], None]) -> None:
        """Hand every finished text and every failed row to `keep`, as they come."""
        for finished in self.engine.run(self._requests(keep)):
            wanted = self.wanted.pop(finished.request.number)
            keep(self.row_requests.entry(finished, wanted))
            self._report()

    def _requests(self, keep: Callable[[Entry], None]) -> Iterator[Request]:
        number = 0
        for row in self.stream:
            if row.number == self.files.limit:
                return
            self.n_rows = row.number + 1
            self.row_requests.see(row)
            if self.done.has_row(row.number):
                continue
            try:
                found = self.row_requests.of_row(row)
            except HfcliError as e:
                self._fail(row, e, keep)
                continue
            for request, wanted in found:
                if not self.done.has(row.number, wanted.sample):
                    self.wanted[number] = wanted
                    yield replace(request, number=number)
                    number += 1

    def _fail(self, row: InputRow, error: HfcliError, keep: Callable[[Entry], None]) -> None:
        if self.files.on_error == "fail":
            raise DataError(
                f"{row.origin}: {error.message}", hint="--on-error record goes on"
            ) from error
        for entry in self.row_requests.failed(row, error.message):
            if not self.done.has(row.number, entry.sample):
                keep(entry)

    def _dressed(self, rows: Iterable[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        for records in rows:
            yield from self.row_requests.dress(records)

    def _asked(self) -> dict[str, Any]:
        """Everything the texts depend on, for the journal and its manifest."""
        loaded, options = self.maker.loaded, self.maker.options
        files = {
            k: v
            for k, v in asdict(self.files).items()
            if k not in ("input", "output", "overwrite", "on_error")
        }
        return {
            "hfcli": hfcli.__version__,
            "engine": self.engine_name,
            "input": self.rows.name,
            "input_sha256": self.rows.fingerprint,
            "model": loaded.source.name,
            "revision": loaded.source.revision,
            "weights_sha256": weights_fingerprint(loaded.source, *loaded.parts),
            "adapter": self.choice.adapter,
            "load_in": self.choice.load_in,
            "dtype": str(loaded.model.dtype).removeprefix("torch."),
            "settings": effective_settings(self.maker.config),
            "options": asdict(options),
            "files": files,
            "seed": self.seed,
        }

    def _report(self) -> None:
        now = time.perf_counter()
        if now - self._last_report < SECONDS_BETWEEN_REPORTS:
            return
        self._last_report = now
        speed = self.engine.counts.new / max(now - self.started, 1e-9)
        total = self.rows.total
        if total is not None and self.files.limit is not None:
            total = min(total, self.files.limit)
        if total is not None:
            total *= self.maker.options.num_samples
        self.listener(TextsDone(self.done.texts, total, speed, self.done.errors))

    def _nothing_to_do(self, journal: Journal) -> BulkResult:
        self.n_rows = journal.found.get("rows", 0)
        self.done.texts = journal.found.get("texts", 0)
        self.done.errors = journal.found.get("errors", 0)
        return self._result(str(journal.output), self.done.texts)

    def _result(self, output: str, resumed: int) -> BulkResult:
        counts, loaded = self.engine.counts, self.engine.loaded
        seconds = time.perf_counter() - self.started
        useful = counts.prompt + counts.new
        return BulkResult(
            output=output,
            rows=self.n_rows,
            texts=self.done.texts,
            errors=self.done.errors,
            resumed=resumed,
            n_prompt_tokens=counts.prompt,
            n_new_tokens=counts.new,
            computed_per_token=counts.computed / useful if useful else 0.0,
            seconds=seconds,
            tokens_per_second=counts.new / seconds if seconds else 0.0,
            batch_size=counts.batch_size,
            model=loaded.source.name,
            revision=loaded.source.revision,
        )
