"""Rows of an input -> the requests they ask for; finished texts -> the records they become.

Knows hfcli's own rows and OpenAI's batch lines; knows neither files nor models' insides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from hfcli.data.prompts import InputRow
from hfcli.errors import DataError
from hfcli.generation import batch_api
from hfcli.generation.bulk_files import BulkFiles, prompt_column, prompt_of
from hfcli.generation.journal import Entry
from hfcli.generation.prompts import Messages, prompt_ids, uses_chat
from hfcli.generation.request import Finished, Request
from hfcli.generation.run import RequestMaker
from hfcli.generation.sampling import row_seed
from hfcli.generation.settings import SAMPLING
from hfcli.recipe.sections import GenerationSettings

MOST_MAKERS = 64  # settings of batch lines that are remembered at a time


@dataclass(frozen=True)
class Wanted:
    """What a request belongs to."""

    row: InputRow
    row_id: Any
    sample: int
    of: int
    prompt: str | Messages
    chat: bool


class RowRequests:
    """Rows in, requests out; finished texts in, records out.

    Args:
        files: which column is the prompt, and what is kept.
        maker: makes the requests.
        seed: of the run.
    """

    def __init__(self, files: BulkFiles, maker: RequestMaker, seed: int) -> None:
        self.files = files
        self.maker = maker
        self.seed = seed
        self.batch_lines: bool | None = None
        self._makers: dict[str, RequestMaker] = {}

    def see(self, row: InputRow) -> None:
        """The first row that can be read decides whether the input is in OpenAI's format."""
        if self.batch_lines is None and row.error is None:
            self.batch_lines = batch_api.is_batch_line(row.values)

    def of_row(self, row: InputRow) -> list[tuple[Request, Wanted]]:
        """The requests of a row, numbered 0.

        Raises:
            HfcliError: the row cannot be generated from.
        """
        if row.error is not None:
            raise DataError(row.error)
        maker, seed, of = self.maker, self.seed, self.maker.options.num_samples
        row_id = row.values.get("id", row.number)
        prompt: str | Messages
        if self.batch_lines:
            if not batch_api.is_batch_line(row.values):
                raise DataError("expected custom_id and body, as in the first row")
            line = batch_api.read_line(row.values)
            maker, prompt, row_id = self._own_maker(line), line.prompt, line.custom_id
            seed = self.seed if line.seed is None else line.seed
            tools = line.tools
            of = line.n or of
        else:
            prompt = prompt_of(self.files, row.values)
            tools = row.values.get("tools") if isinstance(prompt, list) else None
        if not prompt or (isinstance(prompt, str) and not prompt.strip()):
            raise DataError("the prompt is empty")
        loaded, how = maker.loaded, maker.options.prompt
        ids = prompt_ids(loaded, prompt, how, tools)
        chat = uses_chat(loaded, how, messages=not isinstance(prompt, str))
        return [
            (
                maker.make(0, ids, row_seed(seed, str(row_id), sample)),
                Wanted(row, row_id, sample, of, prompt, chat),
            )
            for sample in range(of)
        ]

    def _own_maker(self, line: batch_api.BatchLine) -> RequestMaker:
        if not line.settings and line.stops is None:
            return self.maker
        key = repr((line.settings, line.stops))
        if key not in self._makers:
            if len(self._makers) == MOST_MAKERS:
                self._makers.clear()
            self._makers[key] = self._make_maker(line)
        return self._makers[key]

    def _make_maker(self, line: batch_api.BatchLine) -> RequestMaker:
        given = {k: v for k, v in self.maker.settings.model_dump().items() if v is not None}
        if any(name in line.settings for name in SAMPLING):
            given.pop("do_sample", None)  # what a line says goes before what the command says
        try:
            settings = GenerationSettings(**{**given, **line.settings})
        except ValidationError as e:
            first = str(e.errors()[0]["msg"]).removeprefix("Value error, ")
            raise DataError(f"body: {first[:200]}") from e
        options = self.maker.options
        if line.stops is not None:
            options = replace(options, stops=line.stops)
        return RequestMaker(self.maker.loaded, settings, options)

    def failed(self, row: InputRow, message: str) -> Iterator[Entry]:
        """The records of a row that failed, as many as it would have had texts."""
        of = 1 if self.batch_lines else self.maker.options.num_samples
        row_id = row.values.get("custom_id", row.values.get("id", row.number))
        for sample in range(of):
            yield self.lost(Wanted(row, row_id, sample, of, "", False), message)

    def lost(self, wanted: Wanted, message: str) -> Entry:
        """The record of one text that there is none of."""
        row = wanted.row
        record = {
            "id": wanted.row_id,
            "sample": wanted.sample,
            "prompt": row.values.get(prompt_column(self.files, row.values) or ""),
            "text": None,
            "finish_reason": "error",
            "n_prompt_tokens": 0,
            "n_new_tokens": 0,
            "seed": None,
            "error": f"{row.origin}: {message}",
        }
        return self._kept(wanted, record)

    def entry(self, finished: Finished, wanted: Wanted) -> Entry:
        """The record of a finished text."""
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

    def _kept(self, wanted: Wanted, record: dict[str, Any]) -> Entry:
        if self.files.keep_columns:
            prompt = prompt_column(self.files, wanted.row.values)
            for name, value in wanted.row.values.items():
                if name not in ("id", prompt):
                    record[f"input_{name}" if name in record else name] = value
        return Entry(wanted.row.number, wanted.sample, wanted.of, _plain(record))

    def dress(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records of a row as they are written."""
        if not self.batch_lines:
            return records
        return [batch_api.response(records, self.maker.loaded.source.name)]


def _plain(value: Any) -> Any:
    """What JSON can hold: dates and the like as text, no number as null."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):  # bytes that were no UTF-8 are shown, as Python shows them
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    return str(value)
