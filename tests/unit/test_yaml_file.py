"""YAML text is read by the 1.2 core schema, and every key knows its line."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfcli.recipe.yaml_file import (
    Path,
    YamlError,
    dump_value,
    parse_scalar,
    parse_yaml,
    split_list,
)

FLOATS = {
    "5e-5": 5e-5,
    "1e-4": 1e-4,
    "12e03": 12000.0,
    "1E5": 1e5,
    ".1": 0.1,
    "-.5": -0.5,
    "1.": 1.0,
    "+1.5e+2": 150.0,
    ".inf": math.inf,
    "-.INF": -math.inf,
}
INTEGERS = {"0": 0, "123": 123, "-7": -7, "+1": 1, "0123": 123, "08": 8, "0o17": 15, "0x1F": 31}
WORDS = (
    "no",
    "off",
    "yes",
    "on",
    "NO",
    "y",
    "N",
    "1:30",
    "190:20:30",
    "2020-01-01",
    "2001-12-14T21:59:43.10-05:00",
    "1_000",
    "0b1",
    "0o8",
    "-0o7",
    "1.5e",
    "e5",
    "nan",
    "inf",
    "=",
    "nULL",
    "tRUE",
)
NESTED = """\
# a comment
task:
  name: text-generation

data:
  train:
    - a.txt

    - b.txt
  options: {
    first: 1,
    second: [x,
      y]
  }
"""


def error_of(text: str) -> YamlError:
    with pytest.raises(YamlError) as caught:
        parse_yaml(text)
    return caught.value


@pytest.mark.parametrize(("text", "value"), FLOATS.items())
def test_numbers_with_a_point_or_an_exponent_are_floats(text: str, value: float) -> None:
    found = parse_scalar(text)
    assert type(found) is float
    assert found == value


def test_dot_nan_is_not_a_number() -> None:
    assert math.isnan(parse_scalar(".nan"))


@pytest.mark.parametrize(("text", "value"), INTEGERS.items())
def test_whole_numbers_are_integers_in_their_base(text: str, value: int) -> None:
    found = parse_scalar(text)
    assert type(found) is int
    assert found == value


@pytest.mark.parametrize("text", WORDS)
def test_what_only_yaml_1_1_converts_stays_a_word(text: str) -> None:
    assert parse_scalar(text) == text


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_true_in_three_spellings_is_true(text: str) -> None:
    assert parse_scalar(text) is True


@pytest.mark.parametrize("text", ["false", "False", "FALSE"])
def test_false_in_three_spellings_is_false(text: str) -> None:
    assert parse_scalar(text) is False


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL", "# only a comment"])
def test_null_forms_are_none(text: str) -> None:
    assert parse_scalar(text) is None


@pytest.mark.parametrize("text", ["a:", "a: ~", "a: null", "a: # nothing"])
def test_null_forms_are_none_as_a_value(text: str) -> None:
    assert parse_yaml(text).data == {"a": None}


@pytest.mark.parametrize("text", ["5e-5", "no", "0123", "true", "null", "~", ""])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_quoted_values_are_always_words(text: str, quote: str) -> None:
    assert parse_scalar(f"{quote}{text}{quote}") == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[a, 1, 5e-5]", ["a", 1, 5e-5]),
        ("{a: no}", {"a": "no"}),
        ("[]", []),
        ("a=b", "a=b"),
    ],
)
def test_one_value_may_be_a_list_a_mapping_or_a_word(text: str, value: Any) -> None:
    assert parse_scalar(text) == value


def test_keys_follow_the_core_schema_too() -> None:
    assert parse_yaml("no: 1\n1: 2\n2020-01-01: 3\n").data == {"no": 1, 1: 2, "2020-01-01": 3}


def test_merge_key_is_a_plain_key() -> None:
    assert parse_yaml("<<: {a: 1}\nb: 2\n").data == {"<<": {"a": 1}, "b": 2}


def test_an_alias_repeats_its_anchor() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x\n").data == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("a: 1\nb: 2\na: 3\n", 1, 3),
        ("top:\n  a: 1\n  a: 1\n", 2, 3),
        ("list:\n  - b: 1\n  - c: 1\n    a: 2\n\n    a: 3\n", 4, 6),
        ("top: {a: 1,\n  b: 2,\n  a: 3}\n", 1, 3),
        ('a: 1\n"a": 2\n', 1, 2),
    ],
)
def test_a_key_given_twice_is_an_error_with_both_lines(text: str, first: int, second: int) -> None:
    error = error_of(text)
    assert str(error) == f"'a' is given twice (first on line {first})"
    assert error.line == second


def test_the_same_key_in_two_sections_is_no_error() -> None:
    assert parse_yaml("x:\n  a: 1\ny:\n  a: 2\n").data == {"x": {"a": 1}, "y": {"a": 2}}


def test_every_nested_key_and_list_item_has_its_line() -> None:
    expected: dict[Path, int] = {
        ("task",): 2,
        ("task", "name"): 3,
        ("data",): 5,
        ("data", "train"): 6,
        ("data", "train", 0): 7,
        ("data", "train", 1): 9,
        ("data", "options"): 10,
        ("data", "options", "first"): 11,
        ("data", "options", "second"): 12,
        ("data", "options", "second", 0): 12,
        ("data", "options", "second", 1): 13,
    }
    assert parse_yaml(NESTED).lines == expected


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        ("a: 1\nb: c: d\n", 2, "mapping values are not allowed"),
        ("a: 1\n\tb: 2\n", 2, "cannot start any token"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: 1\nb: *missing\n", 2, "undefined alias 'missing'"),
        ("a: 1\n  b: 2\n", 2, "mapping values are not allowed"),
        ("a: 1\n? [x, y]\n: 2\n", 2, "a key must be a plain word"),
        ("a: 1\nb: !!python/name:os.system\n", 2, "could not determine a constructor"),
    ],
)
def test_broken_yaml_gives_its_line(text: str, line: int, fragment: str) -> None:
    error = error_of(text)
    assert error.line == line
    assert fragment in str(error)


@pytest.mark.parametrize("text", ["a: [1\n", 'a: "x\n', "a: {b: 1\n"])
def test_yaml_that_is_never_closed_is_an_error_with_a_line(text: str) -> None:
    assert error_of(text).line in (1, 2)


def test_a_control_character_is_a_yaml_error() -> None:
    error_of("a: \x00")


def test_an_alias_inside_its_own_anchor_is_a_yaml_error() -> None:
    error_of("a: &x [*x]")


@pytest.mark.parametrize("text", ["a: !!int x", "a: !!float x", "a: !!bool x", "a: !!timestamp x"])
def test_an_explicit_tag_that_does_not_fit_is_a_yaml_error(text: str) -> None:
    assert error_of(text).line == 1


VALUES = (
    "word", "", "no", "0123", "5e-5", "a # b", "a: b", "- x", "line\nend\n", "\ttab", "'", '"',
    "\u2028", "\x85", "\x00", "\ufeff", "é", "😀", "x" * 300, "word " * 80, "?", "*a", "&a", "!x",
    "%", "@", "`", True, None, 3, 0.1, ["a", "b, c", "d # e\n"], {"a": "b\nc"},
)  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_a_dumped_value_is_one_line_that_is_read_back(value: Any) -> None:
    line = dump_value(value)
    assert "\n" not in line
    assert parse_yaml(f"key: {line} # comment").data == {"key": value}


BOMBS = {
    "lists": "k0: &k0 [x, x]\n" + "".join(
        f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 10)}]\n" for i in range(1, 12)
    ),
    "mappings": "k0: &k0 {x: 1}\n" + "".join(
        f"k{i}: &k{i} {{a: *k{i - 1}, b: *k{i - 1}}}\n" for i in range(1, 30)
    ),
    "merged": "k0: &k0 {x: 1}\n" + "".join(
        f"k{i}: &k{i} {{<<: [*k{i - 1}, *k{i - 1}], y: 1}}\n" for i in range(1, 30)
    ),
    "chain": "k0: &k0 [x]\n" + "".join(f"k{i}: &k{i} [*k{i - 1}]\n" for i in range(1, 3_000)),
    "brackets": "x: " + "[" * 100_000,
    "braces": "{a: " * 100_000,
    "blocks": "".join(" " * i + "a:\n" for i in range(2_000)),
    "dashes": "- " * 100_000,
    "questions": "? " * 100_000,
    "many": "[" + "x," * 3_000_000 + "]",
    "digits": "a: " + "9" * 100_000,
    "hexadecimal": "a: 0x" + "f" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_short_text_never_costs_more_than_a_long_one(name: str) -> None:
    began = time.process_time()
    error_of(BOMBS[name])
    assert time.process_time() - began < 4


def test_many_keys_are_read_by_the_fast_parser_with_their_lines() -> None:
    document = parse_yaml("".join(f"key{i}: {i}\n" for i in range(30_000)))
    assert document.data["key29999"] == 29_999
    assert document.lines["key29999",] == 30_000


TAGS = ("int", "float", "bool", "null", "timestamp", "binary", "set", "omap", "python/name:os.x")


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("form", ["!!{} x: 1", "a: !!{} x", "- !!{} x", "? !!{} [x]\n: 1"])
def test_no_tag_ends_otherwise_than_in_a_yaml_error(tag: str, form: str) -> None:
    assert error_of(form.format(tag)).line in (1, 2)


PARTS = st.sampled_from([
    "a", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "&x ", "*x", "!!int ", "!y ", "|", ">",
    '"', "'", "#", "? ", "<<", "0x1", "1e5", ".nan", "null", "~", "---", "...", "%Y", "\t",
    "\\ud800", "\\x", "\u2028", "\x85", "\ufeff", "\udcff", "\x00", "é", "9" * 120,
])  # fmt: skip


@given(st.lists(PARTS, max_size=30).map("".join) | st.text(max_size=40))
@settings(max_examples=600, deadline=None)
def test_any_text_is_data_or_a_yaml_error(text: str) -> None:
    for padding in ("", "#" + " " * 30_000 + "\n"):  # by both parsers
        with contextlib.suppress(YamlError):
            for key in parse_yaml(padding + text).lines:
                assert all(isinstance(part, str | int) for part in key)
        with contextlib.suppress(YamlError):
            assert all(isinstance(part, str) for part in split_list(text))


def test_both_parsers_agree() -> None:
    for text in (
        NESTED,
        'a: "\\u00e9"\nb: [1, 0x1f, 0o7, 5e-5, .inf, no, ~]\n? c\n: |\n  x\n  y\n',
    ):
        short = parse_yaml(text)
        long = parse_yaml(text + "#" * 30_000)
        assert (short.data, short.lines) == (long.data, long.lines)


@pytest.mark.parametrize(("text", "value"), [('"\\ud83d\\ude00"', "😀"), ('"\\udcff"', "\udcff")])
def test_characters_as_json_writes_them(text: str, value: str) -> None:
    assert parse_yaml(text).data == value
