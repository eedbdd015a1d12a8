"""A file of prompts -> a file of texts, that no interruption can cost anything.

Rows stream in, finished texts go to the journal at once, and the output is written from it in
input order at the end; see `hfcli.generation.journal`. A text depends on its own row, the
settings and the seed alone. Knows nothing about terminals.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import hfcli
from hfcli.data.prompts import DASH, InputRow, InputRows, open_rows
from hfcli.errors import DataError, HfcliError
from hfcli.generation import batch_api
from hfcli.generation.engines import open_engine
from hfcli.generation.engines.base import Engine, EngineOptions
from hfcli.generation.journal import Done, Entry, Journal
from hfcli.generation.loading import ModelChoice
from hfcli.generation.noise import row_seed
from hfcli.generation.prompts import (
    Messages,
    MissingColumnError,
    fill_template,
    prompt_ids,
    uses_chat,
)
from hfcli.generation.request import Finished, Request
from hfcli.generation.run import RequestMaker, TextOptions
from hfcli.generation.settings import effective_settings
from hfcli.generation.writers import in_order, json_line, output_suffix, write_records
from hfcli.models.load import LoadedModel
from hfcli.recipe.generation import GenerationSettings
from hfcli.results import BulkResult, Listener, TextPiece, TextsDone

PROMPT_COLUMNS = ("prompt", "messages", "text")
SECONDS_BETWEEN_REPORTS = 0.2


@dataclass(frozen=True)
class BulkFiles:
    """What goes in and out.

    Args:
        input: file, `-` or Hub data set; see `hfcli.data.prompts`.
        output: file, or `-` for stdout, which cannot be resumed.
        prompt_column: default: prompt, messages or text, or the only column there is.
        template: text with `{column}` placeholders, instead of a column.
        keep_columns: keep the other columns of the input in the output.
        on_error: `record` the error in the row's place, or `fail`.
        overwrite: begin anew whatever there is.
        limit: only the first rows.
    """

    input: str
    output: str
    input_format: str | None = None
    output_format: str | None = None
    split: str = "train"
    prompt_column: str | None = None
    template: str | None = None
    keep_columns: bool = False
    on_error: str = "record"
    overwrite: bool = False
    limit: int | None = None


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
        DataError: the input cannot be read, or a row failed and `on_error` is `fail`.
        RunError: the output is from other settings, or in use.
        ModelError: see `hfcli.models`.
    """
    rows = open_rows(
        files.input, format=files.input_format, split=files.split, offline=choice.offline
    )
    if files.output != DASH:
        output_suffix(Path(files.output), files.output_format)
    opened = open_engine(
        engine, EngineOptions(choice=choice, listener=listener, batch_size=batch_size)
    )
    maker = RequestMaker(opened.loaded, settings, options)
    run = _Run(rows, files, choice, opened, maker, seed, listener)
    return run.to_stdout() if files.output == DASH else run.to_file()


@dataclass(frozen=True)
class _Wanted:
    """What a request belongs to."""

    row: InputRow
    row_id: Any
    sample: int
    of: int
    prompt: str | Messages
    chat: bool


class _Run:
    """One bulk run."""

    def __init__(
        self,
        rows: InputRows,
        files: BulkFiles,
        choice: ModelChoice,
        engine: Engine,
        maker: RequestMaker,
        seed: int,
        listener: Listener,
    ) -> None:
        self.rows = rows
        self.files = files
        self.choice = choice
        self.engine = engine
        self.maker = maker
        self.seed = seed
        self.listener = listener
        self.done = Done()
        self.wanted: dict[int, _Wanted] = {}
        self.failed: list[Entry] = []
        self.n_rows = 0
        self.batch_lines: bool | None = None
        self.started = time.perf_counter()
        self._last_report = 0.0

    def to_file(self) -> BulkResult:
        output = Path(self.files.output)
        with Journal(output, self._asked(), overwrite=self.files.overwrite) as journal:
            if journal.complete:
                return self._nothing_to_do(journal)
            self.done = journal.done
            resumed = self.done.texts
            for entry in self._entries():
                journal.add(entry)
                self._report()
            if self.batch_lines is None:
                self.batch_lines = self._looks_like_batch()
            partial = output.with_name(output.name + ".tmp")
            suffix = output_suffix(output, self.files.output_format)
            write_records(partial, suffix, lambda: self._dressed(journal.entries()))
            done = self.done
            counts = {"rows": self.n_rows, "texts": done.texts, "errors": done.errors}
            journal.close_with(partial, counts)
        return self._result(str(output), resumed)

    def to_stdout(self) -> BulkResult:
        def entries() -> Iterator[Entry]:
            for entry in self._entries():
                self.done.add(entry)
                self._report()
                yield entry

        for record in self._dressed(entries()):
            self.listener(TextPiece(json_line(record)))
        return self._result(DASH, 0)

    def _entries(self) -> Iterator[Entry]:
        """Finished texts and failed rows, in any order."""
        for finished in self.engine.run(self._requests()):
            yield from self._failed_so_far()
            yield self._entry(finished)
        yield from self._failed_so_far()

    def _failed_so_far(self) -> Iterator[Entry]:
        failed, self.failed = self.failed, []
        yield from failed

    def _requests(self) -> Iterator[Request]:
        number = 0
        for row in self.rows.read():
            if row.number == self.files.limit:
                return
            self.n_rows = row.number + 1
            if self.done.has_row(row.number):
                continue
            try:
                found = self._wanted_of(row)
            except HfcliError as e:
                if isinstance(e, MissingColumnError) and row.number == 0:
                    raise DataError(f"{row.origin}: {e.message}", hint=e.hint) from e
                self._fail(row, e.message)
                continue
            for request, wanted in found:
                if not self.done.has(row.number, wanted.sample):
                    self.wanted[number] = wanted
                    yield replace(request, number=number)
                    number += 1

    def _wanted_of(self, row: InputRow) -> list[tuple[Request, _Wanted]]:
        if row.error is not None:
            raise DataError(row.error)
        if self.batch_lines is None:
            self.batch_lines = batch_api.is_batch_line(row.values)
        maker, seed, of = self.maker, self.seed, self.maker.options.num_samples
        row_id = row.values.get("id", row.number)
        prompt: str | Messages
        if self.batch_lines:
            if not batch_api.is_batch_line(row.values):
                raise DataError("expected custom_id and body, as in the first row")
            line = batch_api.read_line(row.values)
            maker, prompt, row_id = self._own_maker(line), line.prompt, line.custom_id
            seed = self.seed if line.seed is None else line.seed
            of = line.n or of
        else:
            prompt = self._prompt(row)
        if not prompt or (isinstance(prompt, str) and not prompt.strip()):
            raise DataError("the prompt is empty")
        loaded, how = maker.loaded, maker.options.prompt
        ids = prompt_ids(loaded, prompt, how)
        chat = uses_chat(loaded, how, messages=not isinstance(prompt, str))
        return [
            (
                maker.make(0, ids, row_seed(seed, str(row_id), sample)),
                _Wanted(row, row_id, sample, of, prompt, chat),
            )
            for sample in range(of)
        ]

    def _own_maker(self, line: batch_api.BatchLine) -> RequestMaker:
        if not line.settings and line.stops is None:
            return self.maker
        given = {k: v for k, v in self.maker.settings.model_dump().items() if v is not None}
        if "temperature" in line.settings:
            given.pop("do_sample", None)
        settings = GenerationSettings(**{**given, **line.settings})
        options = self.maker.options
        if line.stops is not None:
            options = replace(options, stops=line.stops)
        return RequestMaker(self.maker.loaded, settings, options)

    def _prompt(self, row: InputRow) -> str | Messages:
        if self.files.template is not None:
            return fill_template(self.files.template, row.values)
        name = self.files.prompt_column or _prompt_column(row.values)
        if name not in row.values:
            raise MissingColumnError(f"no column {name!r}; the row has {', '.join(row.values)}")
        value = row.values[name]
        if value is not None and not isinstance(value, str | list):
            raise DataError(f"column {name!r} holds no text but {type(value).__name__}")
        return value or ""

    def _fail(self, row: InputRow, message: str) -> None:
        if self.files.on_error == "fail":
            raise DataError(f"{row.origin}: {message}", hint="--on-error record goes on")
        of = self.maker.options.num_samples
        row_id = row.values.get("custom_id", row.values.get("id", row.number))
        for sample in range(1 if self.batch_lines else of):
            if self.done.has(row.number, sample):
                continue
            wanted = _Wanted(row, row_id, sample, 1 if self.batch_lines else of, "", False)
            prompt = row.values.get(self.files.prompt_column or "prompt")
            record = {
                "id": row_id,
                "sample": sample,
                "prompt": prompt,
                "text": None,
                "finish_reason": "error",
                "n_prompt_tokens": 0,
                "n_new_tokens": 0,
                "seed": None,
                "error": f"{row.origin}: {message}",
            }
            self.failed.append(self._kept(wanted, record))

    def _entry(self, finished: Finished) -> Entry:
        wanted = self.wanted.pop(finished.request.number)
        record: dict[str, Any] = {
            "id": wanted.row_id,
            "sample": wanted.sample,
            "prompt": wanted.prompt,
            "text": finished.text,
            "finish_reason": finished.finish_reason,
            "n_prompt_tokens": len(finished.request.ids),
            "n_new_tokens": len(finished.ids),
            "seed": finished.request.seed,
        }
        if finished.logprobs is not None:
            record["logprobs"] = finished.logprobs
        record["error"] = None
        if self.batch_lines:
            record["chat"] = wanted.chat
        return self._kept(wanted, record)

    def _kept(self, wanted: _Wanted, record: dict[str, Any]) -> Entry:
        if self.files.keep_columns:
            prompt_column = self.files.prompt_column or "prompt"
            for name, value in wanted.row.values.items():
                if name not in ("id", prompt_column):
                    record[f"input_{name}" if name in record else name] = _plain(value)
        return Entry(wanted.row.number, wanted.sample, wanted.of, record)

    def _dressed(self, entries: Iterator[Entry]) -> Iterator[dict[str, Any]]:
        for records in in_order(entries):
            if self.batch_lines:
                yield batch_api.response(records, self.engine.loaded.source.name)
            else:
                yield from records

    def _looks_like_batch(self) -> bool:
        return batch_api.is_batch_line(next(iter(self.rows.read())).values)

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
            "input": self.rows.name,
            "input_sha256": self.rows.fingerprint,
            "model": loaded.source.name,
            "revision": loaded.source.revision,
            "weights_sha256": weights_fingerprint(loaded),
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


def weights_fingerprint(loaded: LoadedModel) -> str:
    """SHA-256 over the files of the model: weights, configuration and tokenizer."""
    source = loaded.source
    files = [source.folder / source.gguf_file] if source.gguf_file else []
    files = files or sorted(p for p in source.folder.iterdir() if p.suffix in MODEL_SUFFIXES)
    digest = hashlib.sha256()
    for path in files:
        if path.is_file() and path.name != "result.json":
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


MODEL_SUFFIXES = {".safetensors", ".json", ".jinja", ".model", ".txt", ".bin"}


def _prompt_column(values: dict[str, Any]) -> str:
    for name in PROMPT_COLUMNS:
        if name in values:
            return name
    if len(values) == 1:
        return next(iter(values))
    raise MissingColumnError(
        f"which column is the prompt? The row has {', '.join(values)}",
        hint="--prompt-column NAME, or --template FILE",
    )


def _plain(value: Any) -> Any:
    """What JSON can hold; dates and the like as text."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)
