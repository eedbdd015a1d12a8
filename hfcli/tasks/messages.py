"""Conversations as data sets have them -> messages as chat templates take them.

Takes OpenAI's form (`role`, `content`, `tool_calls`) and ShareGPT's (`from`, `value`). Knows no
template.
"""

from __future__ import annotations

import json
from typing import Any

from hfcli.shown import shown

Message = dict[str, Any]

ROLES = ("system", "user", "assistant", "tool", "developer")
SPEAKERS = {  # of ShareGPT and what grew out of it
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
}


class BadMessages(Exception):  # noqa: N818 - a sentence on its way to the error that names the row
    """What is no conversation; the message goes on after the name of its column."""


def read_messages(value: Any) -> list[Message]:
    """The messages of a conversation, in OpenAI's form.

    A content of nothing becomes an empty text where there are tool calls, parts of text are
    joined by line ends, and arguments of tool calls that are JSON become objects, since that is
    what templates expect.

    Args:
        value: a list of objects with role and content, or from and value.

    Raises:
        BadMessages: anything else, or an unknown role.
    """
    if not isinstance(value, list) or not value:
        raise BadMessages("must be a list of messages")
    return [_message(item) for item in value]


def read_tools(value: Any) -> list[dict[str, Any]] | None:
    """The tools that a conversation may use, as JSON schemas of functions; None for none.

    Args:
        value: a list of objects, JSON of one, or nothing.

    Raises:
        BadMessages: anything else.
    """
    if value is None or value == "" or value == []:
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as e:
            raise BadMessages("must be a list of tools; its text is not JSON") from e
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise BadMessages("must be a list of tools, each an object")
    return [_without_nothing(tool) for tool in value] or None


def is_conversation(value: Any) -> bool:
    """Whether a value looks like a conversation, whatever its roles."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and (_is_openai(one) or "from" in one) for one in value)
    )


def _is_openai(message: Message) -> bool:
    return "role" in message and ("content" in message or "tool_calls" in message)


def _message(item: Any) -> Message:
    if not isinstance(item, dict):
        raise BadMessages(f"a message must be an object, found {type(item).__name__}")
    if item.get("role") is None and item.get("from") is not None:
        item = _of_sharegpt(item)
    message = {key: value for key, value in item.items() if value is not None}
    role = message.get("role")
    if role is None:
        raise BadMessages("a message is an object with role and content, or from and value")
    if not isinstance(role, str) or role not in ROLES:
        raise BadMessages(f"unknown role {shown(role)}; known: {', '.join(ROLES)}")
    calls = message.get("tool_calls")
    if calls:
        message["tool_calls"] = [_call(call) for call in _listed(calls)]
    else:
        message.pop("tool_calls", None)
    if "content" not in message and not calls:
        raise BadMessages(f"a message of the {role} has no content")
    message["content"] = _text(message.get("content", ""))
    return message


def _of_sharegpt(item: Message) -> Message:
    speaker = item["from"]
    if not isinstance(speaker, str) or speaker not in SPEAKERS:
        raise BadMessages(f"unknown role {shown(speaker)} in `from`; known: {', '.join(SPEAKERS)}")
    rest = {key: value for key, value in item.items() if key not in ("from", "value", "role")}
    return {"role": SPEAKERS[speaker], "content": item.get("value"), **rest}


def _listed(calls: Any) -> list[Any]:
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise BadMessages("tool_calls must be a list of objects")
    return calls


def _call(call: dict[str, Any]) -> dict[str, Any]:
    call = _without_nothing(call)
    function = call.get("function")
    if isinstance(function, dict) and isinstance(function.get("arguments"), str):
        try:
            arguments = json.loads(function["arguments"])
        except (ValueError, RecursionError):
            return call  # a template may take any text
        if isinstance(arguments, dict):
            return {**call, "function": {**function, "arguments": arguments}}
    return call


def _text(content: Any) -> str:
    if isinstance(content, list):
        content = "\n".join(_part(part) for part in content)
    if not isinstance(content, str):
        raise BadMessages(f"a content must be text, found {type(content).__name__}")
    try:
        content.encode()
    except UnicodeEncodeError as e:
        raise BadMessages("a content holds half a surrogate pair") from e
    return content


def _part(part: Any) -> str:
    kind = part.get("type", "text") if isinstance(part, dict) else type(part).__name__
    if not isinstance(part, dict) or kind != "text" or not isinstance(part.get("text"), str):
        raise BadMessages(f"a part of a content must be text, found {shown(kind)}")
    return str(part["text"])


def _without_nothing(value: Any) -> Any:
    """The value without keys that hold null: columns of one type give every object every key."""
    if isinstance(value, dict):
        return {k: _without_nothing(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return value
