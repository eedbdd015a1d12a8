"""json and jsonl -> rows. A json file is a list of objects, or an object with one such list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TextIO

from hfcli.data.json_items import BadItem, BrokenJson, Repeated, begin, decode
from hfcli.data.parsed import LARGEST_TEXT, FileOptions, Parsed, Unreadable, too_deep
from hfcli.data.text_files import ANY_NEWLINE, NEWLINE, Part, as_text, checked, lines
from hfcli.shown import shown

ROWS_KEY = "data"  # what holds the rows of an object where several keys could
WANTED = "expected a list of objects, or an object with one list of objects"
OTHER_FORMAT = "one object a line is the format jsonl"


def read_jsonl(file: BinaryIO, options: FileOptions) -> Iterator[Parsed]:
    """The objects of a file, one a line."""
    with as_text(file, options.encoding, ANY_NEWLINE) as text:
        for part in lines(text, options.encoding):
            if not part.text.isascii():
                part = checked(part, options.encoding)
            if part.error is not None:
                yield Parsed(part.line, None, part.error, part.hint)
            elif not part.text.isspace():
                yield _row_of(part.line, part.text.rstrip("\r\n"), options)
            elif options.prompts:
                yield Parsed(part.line, None, "not JSON (an empty line)")


def _row_of(number: int, line: str, options: FileOptions) -> Parsed:
    try:
        return _object(number, decode(line), options)
    except BrokenJson as e:
        return Parsed(number, None, str(e))


def read_json(file: BinaryIO, options: FileOptions) -> Iterator[Parsed]:
    """The objects of a list, decoded one by one; the text is never in memory as a whole."""
    with as_text(file, options.encoding, NEWLINE) as text:
        try:
            items, read = begin(text)
            if items is None:
                items = _items_of_object(read, text, options)
            for number, item in enumerate(items, start=1):
                if isinstance(item, BadItem):
                    bad = checked(Part(item.line, item.byte), options.encoding)
                    yield Parsed(item.line, None, bad.error, bad.hint)
                else:
                    yield _object(number, item, options)
        except BrokenJson as e:
            hint = OTHER_FORMAT if "Extra data" in str(e) else None
            yield Parsed(e.line, None, str(e), hint)


def _object(number: int, value: Any, options: FileOptions) -> Parsed:
    if options.prompts and isinstance(value, str):
        return Parsed(number, {"prompt": value})
    if not isinstance(value, dict):
        return Parsed(number, None, f"expected an object, found {type(value).__name__}")
    if isinstance(value, Repeated):
        return Parsed(number, None, f"names {shown(value.key)} twice")
    deep = too_deep(value)
    return Parsed(number, None, deep) if deep else Parsed(number, value)


def _items_of_object(read: str, text: TextIO, options: FileOptions) -> Iterator[Any]:
    """The items of the one list of objects that an object holds, under any key."""
    whole = read + text.read(LARGEST_TEXT + 1)
    if len(whole) > LARGEST_TEXT:
        raise Unreadable(
            f"an object of more than {LARGEST_TEXT:,} characters",
            hint=f"{OTHER_FORMAT}, of any size",
        )
    if not whole.strip():
        return iter(())
    told = checked(Part(1, whole), options.encoding)
    if told.error is not None:
        raise Unreadable(told.error, told.line, told.hint)
    value = decode(whole)
    del whole, told
    lists: Mapping[str, Sequence[Any]] = {}
    if isinstance(value, dict):
        lists = _lists_of(value, dict) or (_lists_of(value, str) if options.prompts else {})
        lists = lists or {key: items for key, items in value.items() if items == []}
    if ROWS_KEY in lists:
        return iter(lists[ROWS_KEY])
    if len(lists) > 1:
        names = ", ".join(repr(name[:60]) for name in sorted(lists)[:5])
        raise Unreadable(
            f"the object holds several lists of objects ({names})",
            hint=f"keep one of them, or name it {ROWS_KEY!r}",
        )
    if not lists:
        raise Unreadable(WANTED, hint=f"{OTHER_FORMAT} (--input-format jsonl)")
    return iter(*lists.values())


def _lists_of(value: dict[str, Any], kind: type) -> Mapping[str, Sequence[Any]]:
    """The lists of a JSON object that hold values of a kind, or the one under `ROWS_KEY`."""
    lists = {name: items for name, items in value.items() if isinstance(items, list)}
    if ROWS_KEY in lists:
        return {ROWS_KEY: lists[ROWS_KEY]}
    return {n: items for n, items in lists.items() if any(isinstance(i, kind) for i in items)}
