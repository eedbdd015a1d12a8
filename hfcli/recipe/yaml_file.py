"""YAML text -> plain data, with the line of every key.

Reads the YAML 1.2 core schema instead of PyYAML's 1.1: `5e-5` is a number, `no` is a word,
`0123` is 123, and a key given twice is an error. It knows nothing about recipes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

_CORE_SCHEMA: dict[str, tuple[str, str]] = {
    "tag:yaml.org,2002:bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "tag:yaml.org,2002:int": (r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    "tag:yaml.org,2002:float": (
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+.0123456789",
    ),
    "tag:yaml.org,2002:null": (r"^(?:~|null|Null|NULL|)$", "~nN"),
}


class YamlError(Exception):
    """The text is not YAML, or holds a key twice; `line` counts from 1."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class YamlDocument:
    """Plain data, and for each key path the line (from 1) where the key stands."""

    data: Any
    lines: dict[Path, int] = field(default_factory=dict)


class _CoreLoader(yaml.SafeLoader):
    """SafeLoader with the 1.2 core schema; the class attribute is our own, not PyYAML's."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - typed in the base class


def _construct_int(_loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(node.value)
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text if base == 10 else text[2:], base)


for _tag, (_pattern, _first) in _CORE_SCHEMA.items():
    _CoreLoader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))
# An empty value has no first character to be looked up by.
_CoreLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])
_CoreLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def parse_yaml(text: str) -> YamlDocument:
    """Parse one YAML document.

    Raises:
        YamlError: bad syntax, an unhashable key or a key given twice.
    """
    loader: _CoreLoader | None = None
    try:
        loader = _CoreLoader(text)
        node = loader.get_single_node()
        if node is None:
            return YamlDocument(data=None)
        lines: dict[Path, int] = {}
        _walk(loader, node, (), lines, frozenset())
        return YamlDocument(data=_construct(loader, node), lines=lines)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        problem = e.problem or e.context or "not valid YAML"
        raise YamlError(problem, mark.line + 1 if mark else None) from e
    except yaml.YAMLError as e:
        raise YamlError(str(e).splitlines()[0], None) from e
    finally:
        if loader is not None:
            loader.dispose()


class _CoreDumper(yaml.SafeDumper):
    """SafeDumper that quotes what the 1.2 core schema would read as something else."""

    yaml_implicit_resolvers = _CoreLoader.yaml_implicit_resolvers


def dump_yaml(data: Any) -> str:
    """YAML that `parse_yaml` reads back as equal data."""
    text: str = yaml.dump(data, Dumper=_CoreDumper, sort_keys=False, allow_unicode=True)
    return text


def dump_value(value: Any) -> str:
    """One value on one line, which `parse_scalar` reads back as an equal value."""
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


def parse_scalar(text: str) -> Any:
    """One value as a recipe would read it: `5e-5` -> float, `[a, b]` -> list, `no` -> 'no'."""
    return parse_yaml(text).data


def split_list(text: str) -> list[str]:
    """The values of `1e-3, [a, b], "c, d"`, each as it is written.

    Raises:
        YamlError: they could not stand in a list.
    """
    loader = _CoreLoader(f"[{text}]")
    try:
        node = loader.get_single_node()
    except yaml.YAMLError as e:
        raise YamlError("the values are not a list separated by commas", None) from e
    finally:
        loader.dispose()
    assert isinstance(node, yaml.SequenceNode), "it is in brackets"
    # The bracket before the text is one character.
    return [text[item.start_mark.index - 1 : item.end_mark.index - 1] for item in node.value]


def _construct(loader: _CoreLoader, node: yaml.Node) -> Any:
    try:
        return loader.construct_document(node)
    except (ValueError, KeyError, AttributeError) as e:
        # PyYAML's constructors trust explicit tags: `!!int x` fails as int("x") does.
        raise YamlError("a value does not fit its tag", node.start_mark.line + 1) from e


def _walk(
    loader: _CoreLoader,
    node: yaml.Node,
    path: Path,
    lines: dict[Path, int],
    around: frozenset[int],
) -> None:
    if id(node) in around:
        raise YamlError("an alias stands inside what it names", node.start_mark.line + 1)
    around |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*path, i)] = item.start_mark.line + 1
            _walk(loader, item, (*path, i), lines, around)
    elif isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise YamlError("a key must be a plain word", line)
            here = (*path, key if isinstance(key, str | int) else str(key))
            if here in lines:
                raise YamlError(f"{key!r} is given twice (first on line {lines[here]})", line)
            lines[here] = line
            _walk(loader, value_node, here, lines, around)
