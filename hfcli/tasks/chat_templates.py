"""Conversations -> the tokens that a model's chat template makes of them.

A template is a program of the model's; what it does with a conversation is checked, not assumed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hfcli.errors import DataError, HfcliError
from hfcli.foreign import foreign_errors
from hfcli.tasks.messages import Message
from hfcli.tasks.template_process import render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Refused = tuple[type[HfcliError], str]
REFUSED: Refused = (DataError, "the chat template refuses a conversation")


@dataclass(frozen=True)
class Conversation:
    """Messages, and the tools that may be used.

    Args:
        messages: as `read_messages` gives them.
        tools: as `read_tools` gives them.
    """

    messages: Sequence[Message]
    tools: list[dict[str, Any]] | None = None

    def upto(self, end: int) -> Conversation:
        """The first `end` messages."""
        return replace(self, messages=self.messages[:end])


def chat_ids(
    tokenizer: PreTrainedTokenizerBase,
    chat: Conversation,
    *,
    opened: bool,
    refused: Refused = REFUSED,
) -> list[int]:
    """Token ids of a conversation.

    Args:
        tokenizer: with a chat template.
        chat: at least one message.
        opened: an answer follows.
        refused: the error where the template refuses the conversation: its class and message.

    Raises:
        HfcliError: of that class.
    """
    text = _applied(tokenizer, chat, opened=opened, refused=refused)
    with foreign_errors(*refused):  # half a surrogate pair is no text
        ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def check_template(tokenizer: PreTrainedTokenizerBase, chat: Conversation) -> None:
    """See that tools and their calls reach the text; many templates leave them out.

    Raises:
        DataError: they do not, or the template refuses the conversation.
    """
    calls = any("tool_calls" in message for message in chat.messages)
    if not calls and chat.tools is None:
        return
    text = _applied(tokenizer, chat, opened=False)
    left_out = None
    if chat.tools is not None:
        without = replace(chat, tools=None)
        if _applied(tokenizer, without, opened=False) == text:
            left_out = "tools"
    if calls and left_out is None and not _shows_calls(chat, text):
        left_out = "tool calls"
    if left_out is not None:
        raise DataError(
            f"the chat template leaves out the {left_out} of a conversation",
            hint="choose a model whose template takes them, or name one by task.chat_template",
        )


def _shows_calls(chat: Conversation, text: str) -> bool:
    """Whether the name of every function that is called is in the text."""
    functions = (
        call.get("function", call)
        for message in chat.messages
        for call in message.get("tool_calls", ())
    )
    names = (one.get("name") for one in functions if isinstance(one, dict))
    return all(str(name) in text for name in names if name is not None)


def said(message: Message) -> str:
    """What a message says, its tool calls as JSON: by that, bytes and words are counted."""
    calls = message.get("tool_calls")
    content = str(message["content"])
    return content + json.dumps(calls, ensure_ascii=False, default=str) if calls else content


def _applied(
    tokenizer: PreTrainedTokenizerBase,
    chat: Conversation,
    *,
    opened: bool,
    refused: Refused = REFUSED,
) -> str:
    with foreign_errors(*refused):
        return render(
            tokenizer, list(chat.messages), tools=chat.tools, add_generation_prompt=opened
        )
