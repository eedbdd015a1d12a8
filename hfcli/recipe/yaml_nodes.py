"""YAML text -> nodes with their lines, without recursion and without PyYAML's constructors.

PyYAML composes and constructs by recursion, and its constructors trust explicit tags. Nodes are
made here from the parser's events, so that any text ends in data or in a `YamlError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

Path = tuple[str | int, ...]

MAX_DEPTH = 64  # lists and mappings in each other; a recipe has 5
MAX_NODES = 100_000  # half a second by libyaml's parser
MAX_NODES_SLOW = 25_000  # a second by PyYAML's own
MAX_DIGITS = 100  # of a whole number
_TAG = "tag:yaml.org,2002:"
NULL = f"{_TAG}null"
EMPTY = re.compile(r"^$")
CORE_SCHEMA: dict[str, tuple[re.Pattern[str], str]] = {
    f"{_TAG}bool": (re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    f"{_TAG}int": (re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), "-+0123456789"),
    f"{_TAG}float": (
        re.compile(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        "-+.0123456789",
    ),
    NULL: (re.compile(r"^(?:~|null|Null|NULL|)$"), "~nN"),
}
_FIRST = frozenset("".join(first for _, first in CORE_SCHEMA.values()))
_TEXT = (f"{_TAG}str", "!")
_LIST, _MAPPING = f"{_TAG}seq", f"{_TAG}map"
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# "\ud83d\ude00" as JSON writes it, which libyaml does not read.
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
SHORT = 20_000  # characters; PyYAML's own parser takes up to half a second for so many


class YamlError(Exception):
    """The text is not YAML, or holds a key twice; `line` counts from 1."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Node:
    """A word, a list or a mapping.

    Attributes:
        kind: which of them.
        line: where it begins, from 1.
        start, end: its first character, and the one after its last.
        text, tag: of a word; the tag is that of `CORE_SCHEMA` or None for text.
        items: of a list; of a mapping keys and values in turn.
        named_before: it stands in the place of an alias too.
    """

    kind: Literal["word", "list", "mapping"]
    line: int
    start: int
    end: int
    text: str = ""
    tag: str | None = None
    items: list[Node] = field(default_factory=list)
    named_before: bool = False

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """Return keys and values of a mapping."""
        return zip(self.items[::2], self.items[1::2], strict=True)


def compose(text: str) -> Node | None:
    """Return the one document of a text, or None where there is none.

    Raises:
        YamlError: bad syntax, several documents, an alias of nothing or of what it stands in,
            a tag that the core schema lacks, or too many or too deep values.
    """
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise YamlError("not UTF-8 text", text.count("\n", 0, e.start) + 1) from e
    try:
        return _compose(text)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        problem = e.problem or e.context or "not valid YAML"
        raise YamlError(problem, mark.line + 1 if mark else None) from e
    except yaml.reader.ReaderError as e:
        raise YamlError(_reader_problem(e), _line_of(e, text)) from e
    except yaml.YAMLError as e:
        raise YamlError(str(e).splitlines()[0], None) from e


def _compose(text: str) -> Node | None:
    # PyYAML's own parser has the better messages; libyaml's is forty times as fast.
    short = len(text) <= (10 * SHORT if _ESCAPED_SURROGATE.search(text) else SHORT)
    fast = yaml.__with_libyaml__ and not short
    builder = _Builder(MAX_NODES if fast else MAX_NODES_SLOW)
    for event in yaml.parse(text, Loader=yaml.CSafeLoader if fast else yaml.SafeLoader):
        builder.take(event)
    return builder.root


class _Builder:
    """Events -> nodes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.root: Node | None = None
        self.open: list[Node] = []
        self.anchors: dict[str, Node] = {}
        self.nodes = 0

    def take(self, event: Any) -> None:
        """Add the node of the next event."""
        if isinstance(event, yaml.CollectionEndEvent):
            self.open.pop().end = _marks(event)[1].index
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._aliased(event))
        elif isinstance(event, yaml.NodeEvent):
            node = _node_of(event)
            if event.anchor is not None:
                self.anchors[event.anchor] = node
            self._add(node)
            if node.kind != "word":
                self.open.append(node)
                if len(self.open) > MAX_DEPTH:
                    raise too_deep(node.line)
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise YamlError("expected one document, found another document", _line(event))

    def _add(self, node: Node) -> None:
        self.nodes += 1
        if self.nodes > self.most:
            raise YamlError(f"more than {self.most:,} values", node.line)
        if self.open:
            self.open[-1].items.append(node)
        else:
            self.root = node

    def _aliased(self, event: Any) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            raise YamlError(f"found undefined alias {event.anchor!r}", _line(event))
        if any(node is around for around in self.open):
            raise YamlError("an alias stands inside what it names", _line(event))
        node.named_before = True
        return node


def _node_of(event: Any) -> Node:
    start, end = _marks(event)
    if isinstance(event, yaml.ScalarEvent):
        value = _joined(event.value, _line(event))
        tag = _tag_of(event, value)
        return Node("word", start.line + 1, start.index, end.index, value, tag)
    is_list = isinstance(event, yaml.SequenceStartEvent)
    allowed = (None, "!", _LIST if is_list else _MAPPING)
    if event.tag not in allowed:
        raise _unknown_tag(event)
    return Node("list" if is_list else "mapping", start.line + 1, start.index, end.index)


def _tag_of(event: Any, value: str) -> str | None:
    """The tag that is written, or the one that a plain word has by its form; None: text."""
    tag: str | None = event.tag
    if tag in _TEXT:
        return None
    if tag is not None:
        if tag not in CORE_SCHEMA:
            raise _unknown_tag(event)
        return tag
    if not event.implicit[0] or (value and value[0] not in _FIRST):
        return None
    return next((name for name, (form, _) in CORE_SCHEMA.items() if form.match(value)), None)


def _unknown_tag(event: Any) -> YamlError:
    return YamlError(f"could not determine a constructor for the tag {event.tag!r}", _line(event))


def value_of(node: Node) -> Any:
    """Return the value of a word.

    Raises:
        YamlError: it does not fit its tag, or is a number of more digits than anything has.
    """
    if node.tag is None:
        return node.text
    form, _ = CORE_SCHEMA[node.tag]
    if not form.match(node.text) and not (node.tag.endswith("float") and node.text.isdecimal()):
        raise YamlError("a value does not fit its tag", node.line)
    kind = node.tag.removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return node.text.lower() == "true"
    return _int(node) if kind == "int" else _float(node.text)


def _int(node: Node) -> int:
    text = node.text
    if len(text) > MAX_DIGITS:
        raise YamlError(f"a whole number of more than {MAX_DIGITS} digits", node.line)
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text if base == 10 else text[2:], base)


def _float(text: str) -> float:
    bare = text.lower().lstrip("+-")
    if bare in (".inf", ".nan"):
        value = float(bare[1:])
        return -value if text.startswith("-") else value
    return float(text)


def _joined(text: str, line: int) -> str:
    """The text with pairs of surrogates, as JSON writes them, as the characters they mean.

    Raises:
        YamlError: half of a pair; bytes of file names, as Python writes them, stay.
    """
    if not _SURROGATE.search(text):
        return text
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    odd = _SURROGATE.search(text)
    if odd and not all("\udc80" <= c <= "\udcff" for c in _SURROGATE.findall(text)):
        raise YamlError(f"{odd[0]!r} is half of a character", line)
    return text


def too_deep(line: int) -> YamlError:
    """Return the error of lists and mappings that are nested too deep."""
    return YamlError(f"values stand more than {MAX_DEPTH} deep in each other", line)


def _marks(event: Any) -> tuple[Any, Any]:
    return event.start_mark, event.end_mark


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _reader_problem(error: yaml.reader.ReaderError) -> str:
    character = error.character
    code = character if isinstance(character, int) else ord(character[:1] or "\0")
    return f"the character U+{code:04X} is not allowed"


def _line_of(error: yaml.reader.ReaderError, text: str) -> int:
    before = text.encode()[: error.position].decode("utf-8", "ignore")
    return before.count("\n") + 1
