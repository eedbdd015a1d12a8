"""Conversations as data sets have them become the messages that templates take, or are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hfcli.tasks.documents import Chat
from hfcli.tasks.messages import BadMessages, is_conversation, read_messages, read_tools

CALL = {"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
SAME: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "sharegpt": (
        [
            {"from": "system", "value": "s"}, {"from": "human", "value": "q"},
            {"from": "gpt", "value": "a"}, {"from": "tool", "value": "t"},
        ],
        [
            {"role": "system", "content": "s"}, {"role": "user", "content": "q"},
            {"role": "assistant", "content": "a"}, {"role": "tool", "content": "t"},
        ],
    ),
    "null beside calls": (
        [{"role": "assistant", "content": None, "tool_calls": [CALL]}],
        [{"role": "assistant", "content": "", "tool_calls": [CALL]}],
    ),
    "no content beside calls": (
        [{"role": "assistant", "tool_calls": [CALL]}],
        [{"role": "assistant", "content": "", "tool_calls": [CALL]}],
    ),
    "arguments as JSON": (
        [{"role": "assistant", "content": "", "tool_calls": [
            {"type": "function", "id": None, "function": {"name": "f", "arguments": '{"a": 1}'}}]}],
        [{"role": "assistant", "content": "", "tool_calls": [CALL]}],
    ),
    "parts": (
        [{"role": "user", "content": [{"type": "text", "text": text} for text in "ab"]}],
        [{"role": "user", "content": "a\nb"}],
    ),
    "keys of other rows": (
        [{"role": "user", "content": "q", "tool_calls": None, "name": None}],
        [{"role": "user", "content": "q"}],
    ),
}  # fmt: skip
REFUSED: dict[str, tuple[Any, str]] = {
    "a text": ("hi", "list of messages"),
    "empty": ([], "list of messages"),
    "texts": (["hi"], "must be an object, found str"),
    "a role of nobody": ([{"role": "alien", "content": ""}], "unknown role 'alien'"),
    "a role of another type": ([{"role": 1, "content": ""}], "unknown role 1"),
    "a speaker of nobody": ([{"from": "alien", "value": ""}], "unknown role 'alien' in `from`"),
    "a speaker of another type": ([{"from": ["x"], "value": ""}], "unknown role ['x']"),
    "no content": ([{"role": "user"}], "no content"),
    "null": ([{"role": "assistant", "content": None}], "no content"),
    "null of ShareGPT": ([{"from": "human", "value": None}], "no content"),
    "a number": ([{"role": "user", "content": 5}], "must be text, found int"),
    "a picture": ([{"role": "user", "content": [{"type": "image"}]}], "found 'image'"),
    "a part of nothing": ([{"role": "user", "content": [None]}], "found 'NoneType'"),
    "calls of another type": ([{"role": "user", "content": "", "tool_calls": 5}], "tool_calls"),
    "half a pair": ([{"role": "user", "content": "\ud800"}], "half a surrogate pair"),
}


@pytest.mark.parametrize("kind", SAME)
def test_a_conversation_has_one_form(kind: str) -> None:
    given, expected = SAME[kind]
    assert is_conversation(given)
    assert read_messages(given) == expected
    assert read_messages(expected) == expected, "what was read is read as it is"


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_conversation_is_told(kind: str) -> None:
    value, told = REFUSED[kind]
    with pytest.raises(BadMessages) as caught:
        read_messages(value)
    assert told in str(caught.value)
    assert "column 'c'" in str(Chat("c").check({"c": value}))


def test_tools_are_a_list_or_its_json_or_nothing() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert read_tools(tools) == read_tools(json.dumps(tools)) == tools
    assert read_tools([{"name": "f", "strict": None}]) == [{"name": "f"}]
    nothing: list[Any] = [None, "", []]
    assert [read_tools(value) for value in nothing] == [None] * 3
    wrong: list[Any] = [5, ["f"], "f", "{", {}]
    for value in wrong:
        with pytest.raises(BadMessages):
            read_tools(value)


def test_what_is_stored_is_read_back() -> None:
    row = {"c": SAME["sharegpt"][0], "t": [{"name": "f"}], "more": 1}
    stored = Chat("c", "t").stored(row)
    assert {*stored} == {"c", "t"}
    texts = Chat("c", "t").text({name: [value] for name, value in stored.items()})
    assert [*texts] == ["s", "q", "a", "t"]
