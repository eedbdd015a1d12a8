"""What goes into a bulk run and comes out, and which column of the input is the prompt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hfcli.data.parsed import Quoting
from hfcli.data.prompts import DASH, InputRow
from hfcli.errors import DataError, RunError, did_you_mean
from hfcli.faults import environment_errors
from hfcli.generation import batch_api
from hfcli.generation.manifest import manifest_path
from hfcli.generation.prompts import Messages
from hfcli.generation.writers import output_suffix
from hfcli.tasks.templates import MissingColumnError, fill_template

PROMPT_COLUMNS = ("prompt", "messages", "text", "conversations")


@dataclass(frozen=True)
class BulkFiles:
    """What goes in and out.

    Args:
        input: file, `-` or Hub data set; see `hfcli.data.prompts`.
        output: file, or `-` for stdout, which cannot be resumed.
        prompt_column: default: prompt, messages, text, or the only column there is.
        template: text with `{column}` placeholders, instead of a column.
        keep_columns: keep the other columns of the input in the output.
        on_error: `record` the error in the row's place, `skip` the row, or `fail`.
        encoding: of a text file, as Python names it.
        quoting: whether cells of a tsv file stand in quotes.
        overwrite: begin anew whatever there is.
        limit: only the first rows.
        environment: variables that gave flags of the command, for the manifest.
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
    encoding: str = "utf-8"
    quoting: Quoting = "auto"
    overwrite: bool = False
    limit: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def check_output(files: BulkFiles) -> None:
    """See that the output can be what it is named, before anything is loaded.

    Raises:
        DataError: its format is not known.
        RunError: it is the input, a folder, or with `overwrite` a link to a file of the user's.
    """
    if files.output == DASH:
        return
    output = Path(files.output)
    output_suffix(output, files.output_format)
    if output.is_dir():
        raise RunError(f"{output}: is a folder", hint="name a file in it")
    if output.exists() and not output.is_file():
        raise RunError(f"{output}: is a device or a pipe, not a file", hint="-o - writes to stdout")
    source = Path(files.input).expanduser()
    with environment_errors(source, DataError, what="cannot be read"):
        same = files.input != DASH and source.exists() and output.exists()
        same = same and output.samefile(source)
    if same:
        raise RunError(f"{output}: is the input, and is not written over", hint="another --output")
    real = real_output(files)
    replaced = files.overwrite and output.is_symlink() and real.exists()
    if replaced and not manifest_path(real).is_file():
        raise RunError(
            f"{output}: is a link to {real}, which hfcli did not write",
            hint="name that file itself, or another --output",
        )


def real_output(files: BulkFiles) -> Path:
    """Return the output file itself where a link is named, so that all agree on its lock."""
    return Path(os.path.realpath(files.output))


def check_columns(files: BulkFiles, row: InputRow) -> None:
    """See in a row of the input that there is what prompts are made from.

    Raises:
        RecipeError: the template's braces do not match.
        DataError: there is no such column.
    """
    if batch_api.is_batch_line(row.values):
        return
    try:
        if files.template is not None:
            fill_template(files.template, row.values)
        elif prompt_column(files, row.values) is None:
            prompt_of(files, row.values)
    except MissingColumnError as e:
        raise DataError(f"{row.origin}: {e.message}", hint=e.hint) from e


def prompt_column(files: BulkFiles, values: Mapping[str, Any]) -> str | None:
    """The column that is the prompt, if one is."""
    if files.template is not None:
        return None
    if files.prompt_column is not None:
        return files.prompt_column if files.prompt_column in values else None
    known = [name for name in PROMPT_COLUMNS if name in values]
    return known[0] if known else next(iter(values)) if len(values) == 1 else None


def prompt_of(files: BulkFiles, values: Mapping[str, Any]) -> str | Messages:
    """What a row asks: a text, or a conversation; empty where its cell is.

    Raises:
        RecipeError: the template's braces do not match.
        MissingColumnError: there is no column to make it from.
        DataError: the column holds something else.
    """
    if files.template is not None:
        return fill_template(files.template, values)
    name = prompt_column(files, values)
    if name is None and files.prompt_column is not None:
        near = did_you_mean(files.prompt_column, values)
        raise MissingColumnError(
            f"no column {files.prompt_column!r}; the row has {', '.join(values)}",
            hint=f"did you mean {near}?" if near else None,
        )
    if name is None:
        raise MissingColumnError(
            f"which column is the prompt? The row has {', '.join(values)}",
            hint="--prompt-column NAME, or --template FILE",
        )
    value = values[name]
    if value is not None and not isinstance(value, str | list):
        raise DataError(f"column {name!r} holds no text but {type(value).__name__}")
    return value or ""
