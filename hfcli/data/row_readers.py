"""Open files -> rows one at a time, in flat memory; what cannot be read is a complaint in place.

One family of readers for all: who trains or scores stops at the first complaint or leaves the row
out (`hfcli.data.files`), who generates records it (`hfcli.data.prompts`). A reader takes a binary
file, raises `Unreadable` only where nothing after it can be read either, and does not know the
name of its file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from hfcli.data.json_rows import read_json, read_jsonl
from hfcli.data.parquet_rows import read_parquet
from hfcli.data.parsed import FileOptions, Parsed, Reader
from hfcli.data.tables import read_csv, read_tsv
from hfcli.data.text_files import as_text, line_ends, parts

CHUNK = 1 << 20


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8; half a surrogate pair of JSON cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_txt(file: BinaryIO, options: FileOptions) -> Iterator[Parsed]:
    """The texts of a txt file; of prompts every line, of others what is not blank."""
    column = "prompt" if options.prompts else "text"
    by = "line" if options.prompts else options.sample_by
    newline = line_ends(file)
    with as_text(file, options.encoding, newline) as text:
        for line, part, error, hint in parts(text, options.encoding, by, newline):
            if error is not None:
                yield Parsed(line, None, error, hint)
            elif options.prompts or (part and not part.isspace()):
                yield Parsed(line, {column: part})


READERS: dict[str, Reader] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".parquet": read_parquet,
    ".txt": read_txt,
}
A_LINE_A_ROW = (".jsonl", ".txt")
PACKED = tuple(suffix for suffix in READERS if suffix != ".parquet")  # parquet packs its columns
