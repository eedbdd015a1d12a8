"""YAML text -> plain data, with the line of every key; and back.

Reads the YAML 1.2 core schema instead of PyYAML's 1.1: `5e-5` is a number, `no` is a word,
`0123` is 123, and a key given twice is an error. It knows nothing about recipes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import yaml

from hfcli.recipe import yaml_nodes
from hfcli.recipe.yaml_nodes import CORE_SCHEMA, Node, Path, YamlError

MAX_ALIASED = 10_000  # values that aliases may repeat; a recipe has less than 100 in all
__all__ = [
    "Path", "YamlDocument", "YamlError", "dump_value", "dump_yaml", "parse_scalar", "parse_yaml",
    "split_list",
]  # fmt: skip


@dataclass(frozen=True)
class YamlDocument:
    """Plain data, and for each key path the line (from 1) where the key stands."""

    data: Any
    lines: dict[Path, int] = field(default_factory=dict)


def parse_yaml(text: str) -> YamlDocument:
    """Parse one YAML document, in time and memory that its length bounds.

    Raises:
        YamlError: bad syntax, a key given twice or that is not a plain word, a value that does
            not fit its tag, a tag that the core schema lacks, or too many or too deep values.
    """
    node = yaml_nodes.compose(text)
    if node is None:
        return YamlDocument(data=None)
    reader = _Reader()
    return YamlDocument(data=reader.read(node, ()), lines=reader.lines)


def parse_scalar(text: str) -> Any:
    """Parse one value as in a recipe: `5e-5` -> float, `[a, b]` -> list, `no` -> 'no'."""
    return parse_yaml(text).data


def split_list(text: str) -> list[str]:
    """Return the values of `1e-3, [a, b], "c, d"`, each as it is written.

    Raises:
        YamlError: they could not stand in a list.
    """
    try:
        node = yaml_nodes.compose(f"[{text}]")
    except YamlError as e:
        raise YamlError("the values are not a list separated by commas", None) from e
    assert node is not None, "it is in brackets"
    # The bracket before the text is one character.
    return [text[item.start - 1 : item.end - 1] for item in node.items]


class _Reader:
    """Nodes -> data. Aliases share nodes, so that a short text can name more than memory holds."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.aliased = 0

    def read(self, node: Node, path: Path, *, aliased: bool = False) -> Any:
        aliased = aliased or node.named_before
        if aliased:
            self.aliased += 1
            if self.aliased > MAX_ALIASED:
                raise YamlError(f"aliases repeat more than {MAX_ALIASED:,} values", node.line)
        if len(path) > yaml_nodes.MAX_DEPTH:
            raise yaml_nodes.too_deep(node.line)
        if node.kind == "word":
            return yaml_nodes.value_of(node)
        if node.kind == "list":
            return [self._item(item, (*path, i), aliased) for i, item in enumerate(node.items)]
        return dict(self._entry(key, value, path, aliased) for key, value in node.pairs())

    def _item(self, item: Node, path: Path, aliased: bool) -> Any:
        self.lines[path] = item.line
        return self.read(item, path, aliased=aliased)

    def _entry(self, key_node: Node, value: Node, path: Path, aliased: bool) -> tuple[Any, Any]:
        if key_node.kind != "word":
            raise YamlError("a key must be a plain word", key_node.line)
        key = yaml_nodes.value_of(key_node)
        here = (*path, key if isinstance(key, str | int) else str(key))
        if here in self.lines:
            first = self.lines[here]
            raise YamlError(f"{key!r} is given twice (first on line {first})", key_node.line)
        self.lines[here] = key_node.line
        return key, self.read(value, here, aliased=aliased)


class _CoreDumper(yaml.SafeDumper):
    """SafeDumper that quotes what the 1.2 core schema would read as something else."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - typed in the base class


for _tag, (_pattern, _first) in CORE_SCHEMA.items():
    _CoreDumper.add_implicit_resolver(_tag, _pattern, list(_first))
# An empty value has no first character to be looked up by.
_CoreDumper.add_implicit_resolver(yaml_nodes.NULL, yaml_nodes.EMPTY, [""])


def dump_yaml(data: Any) -> str:
    """Return YAML that `parse_yaml` reads back as equal data."""
    text: str = yaml.dump(data, Dumper=_CoreDumper, sort_keys=False, allow_unicode=True)
    return text


def dump_value(value: Any) -> str:
    """Return one value on one line, which `parse_scalar` reads back as an equal value."""
    for style in (None, '"'):  # only double quotes escape line ends and their kin
        text: str = yaml.dump(
            value,
            Dumper=_CoreDumper,
            default_flow_style=True,
            default_style=style,
            allow_unicode=True,
            width=math.inf,
        )
        text = text.removesuffix("\n").removesuffix("\n...")
        if text.isprintable():
            break
    return text
