"""Rows of an input -> the requests they ask for; finished texts -> the records they become.

Knows hfcli's own rows and OpenAI's batch lines; knows neither files nor models' insides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hfcli.data.prompts import InputRow
from hfcli.errors import DataError
from hfcli.generation import batch_api
from hfcli.generation.journal import Entry
from hfcli.generation.noise import row_seed
from hfcli.generation.prompts import (
    Messages,
    MissingColumnError,
    fill_template,
    prompt_ids,
    uses_chat,
)
from hfcli.generation.request import Finished, Request
from hfcli.generation.run import RequestMaker
from hfcli.recipe.generation import GenerationSettings

PROMPT_COLUMNS = ("prompt", "messages", "text")


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

    def see(self, row: InputRow) -> None:
        """The first row that can be read decides whether the input is in OpenAI's format."""
        if self.batch_lines is None and row.error is None:
            self.batch_lines = batch_api.is_batch_line(row.values)

    def of_row(self, row: InputRow) -> list[tuple[Request, Wanted]]:
        """The requests of a row, numbered 0.

        Raises:
            MissingColumnError: there is no column with the prompt.
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
                Wanted(row, row_id, sample, of, prompt, chat),
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

    def failed(self, row: InputRow, message: str) -> Iterator[Entry]:
        """The records of a row that failed, as many as it would have had texts."""
        of = 1 if self.batch_lines else self.maker.options.num_samples
        row_id = row.values.get("custom_id", row.values.get("id", row.number))
        for sample in range(of):
            wanted = Wanted(row, row_id, sample, of, "", False)
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
            yield self._kept(wanted, record)

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
            prompt_column = self.files.prompt_column or "prompt"
            for name, value in wanted.row.values.items():
                if name not in ("id", prompt_column):
                    record[f"input_{name}" if name in record else name] = _plain(value)
        return Entry(wanted.row.number, wanted.sample, wanted.of, record)

    def dress(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records of a row as they are written."""
        if not self.batch_lines:
            return records
        return [batch_api.response(records, self.maker.loaded.source.name)]


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
