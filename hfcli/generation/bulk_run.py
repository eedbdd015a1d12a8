"""One run over a file of prompts: what is asked of the engine, kept, reported and written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import hfcli
from hfcli import files
from hfcli.data.inputs import Unchanged
from hfcli.data.prompts import DASH, InputRow, InputRows
from hfcli.errors import DataError, HfcliError
from hfcli.faults import environment_errors
from hfcli.generation.bulk_files import BulkFiles, real_output
from hfcli.generation.engines.base import Engine
from hfcli.generation.journal import Done, Entry, Journal
from hfcli.generation.loading import ModelChoice
from hfcli.generation.manifest import FORMAT, INPUT_CHANGED
from hfcli.generation.request import Request
from hfcli.generation.row_requests import RowRequests, Wanted
from hfcli.generation.run import RequestMaker
from hfcli.generation.settings import effective_settings
from hfcli.generation.writers import json_line, output_suffix, write_records
from hfcli.journal import InOrder
from hfcli.models.fingerprint import weights_fingerprint
from hfcli.results import BulkResult, Listener, Note, TextPiece, TextsDone
from hfcli.tasks.logits import nan_logits
from hfcli.tasks.prepared import RowCounts

SECONDS_BETWEEN_REPORTS = 0.2
ELSEWHERE = ("input", "output", "overwrite", "environment")  # no settings of the input or output
# What need not stand among the settings of a run, so that those of other versions go on.
SAME_TEXTS = (
    ("encoding", "utf-8"), ("quoting", "auto"), ("on_error", "record"), ("on_error", "fail"),
)  # fmt: skip


class BulkRun:
    """Rows go in, texts and failed rows come out.

    Args:
        rows: the input.
        stream: its rows, the first of which may have been looked at.
        engine_name: for the manifest.
        maker: makes the requests.
        seed: with a row's id and the number of the sample, decides its text.
    """

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
        self.skipped = RowCounts()
        self._last_report = 0.0

    def to_file(self) -> BulkResult:
        """Write every text into the output, whose lock is held (`journal.hold`)."""
        output = real_output(self.files)
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
            changed = self._changed_input()
            if changed is not None:
                journal.asked |= {INPUT_CHANGED: True}
            self._write_output(journal)
        if changed is not None:
            raise changed
        return self._result(self.files.output, resumed)

    def _changed_input(self) -> DataError | None:
        """The error of an input file that is not what it was when the run began."""
        path, before = self.rows.path, self.rows.fingerprint
        if path is None or before is None:
            return None
        return Unchanged([path], {path: before}).changed()

    def _write_output(self, journal: Journal) -> None:
        """Write what the journal has in the order of the input, and take it for finished."""
        output, done = journal.output, self.done
        with environment_errors(output):
            temporary = files.create_temporary(output)
        try:
            suffix = output_suffix(Path(self.files.output), self.files.output_format)
            write_records(temporary, suffix, lambda: self._written(journal.rows()))
            counts: dict[str, Any] = {
                "rows": self.n_rows, "texts": done.texts, "errors": done.errors,
            }  # fmt: skip
            if self.files.on_error == "skip":
                counts["skipped_rows"] = self.skipped.skipped_rows
            journal.close_with(temporary, counts)
        finally:
            files.remove(temporary)

    def to_stdout(self) -> BulkResult:
        order: InOrder[dict[str, Any]] = InOrder()

        def write(entry: Entry) -> None:
            self.done.add(entry)
            rows = order.push(entry.row, entry.sample, entry.of, entry.record)
            for record in self._dressed(rows):
                self.listener(TextPiece(json_line(record)))

        self._generate(write)
        changed = self._changed_input()
        if changed is not None:
            raise changed
        return self._result(DASH, 0)

    def _generate(self, keep: Callable[[Entry], None]) -> None:
        """Hand every finished text and every failed row to `keep`, as they come."""
        for finished in self.engine.run(self._requests(keep)):
            wanted = self.wanted.pop(finished.request.number)
            if finished.finish_reason == "error":
                keep(self.row_requests.lost(wanted, nan_logits().message))
            else:
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
                    may_fail = self.files.on_error != "fail"
                    yield replace(request, number=number, may_fail=may_fail)
                    number += 1

    def _fail(self, row: InputRow, error: HfcliError, keep: Callable[[Entry], None]) -> None:
        if self.files.on_error == "fail":
            raise DataError(
                f"{row.origin}: {error.message}", hint="--on-error record goes on"
            ) from error
        for entry in self.row_requests.failed(row, error.message):
            if not self.done.has(row.number, entry.sample):
                keep(entry)

    def _written(self, rows: Iterable[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        self.skipped = RowCounts()  # a format may need more than one pass
        return self._dressed(rows)

    def _dressed(self, rows: Iterable[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        """Records as they are written; a row to skip is counted and listed instead."""
        for records in rows:
            failed = next((r["error"] for r in records if r["error"] is not None), None)
            if failed is not None and self.files.on_error == "skip":
                self.skipped.skip(failed)
            else:
                yield from self.row_requests.dress(records)

    def _asked(self) -> dict[str, Any]:
        """Everything the texts depend on, for the journal and its manifest."""
        loaded, options = self.maker.loaded, self.maker.options
        told = {
            k: v
            for k, v in asdict(self.files).items()
            if k not in ELSEWHERE and (k, v) not in SAME_TEXTS
        }
        asked = {
            "hfcli": hfcli.__version__,
            "format": FORMAT,
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
            "files": told,
            "seed": self.seed,
        }
        environment = dict(self.files.environment)
        return {**asked, "environment": environment} if environment else asked

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
        self.skipped.skipped_rows = journal.found.get("skipped_rows", [])
        return self._result(self.files.output, self.done.texts)

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
            skipped_rows=self.skipped.skipped_rows,
        )
