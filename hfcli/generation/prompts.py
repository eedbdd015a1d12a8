"""What the user gives -> the token ids a model reads: templates, chat templates, system prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hfcli.errors import DataError, ModelError
from hfcli.models.load import ReadableModel
from hfcli.tasks.base import context_length
from hfcli.tasks.chat_templates import Conversation, chat_ids, check_template
from hfcli.tasks.messages import BadMessages, read_messages, read_tools

Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class PromptOptions:
    """How a prompt is put.

    Args:
        system: what the model is told before the prompt.
        chat_template: put the prompt into the model's chat template; None: where it has one.
    """

    system: str | None = None
    chat_template: bool | None = None


def uses_chat(loaded: ReadableModel, options: PromptOptions, *, messages: bool = False) -> bool:
    """Whether the chat template is applied.

    Raises:
        ModelError: it is wanted, and the model has none.
    """
    has = bool(getattr(loaded.tokenizer, "chat_template", None))
    if options.chat_template is False and not messages:
        return False
    wanted = options.chat_template or options.system is not None or messages
    if wanted and not has:
        raise ModelError(
            f"{loaded.source.name}: has no chat template; it continues text, and was not trained"
            " to answer",
            hint="--no-chat-template puts the system prompt before the text, or choose an"
            " instruction-tuned model",
        )
    return has


def prompt_ids(
    loaded: ReadableModel, prompt: str | Messages, options: PromptOptions, tools: Any = None
) -> tuple[int, ...]:
    """The ids the model reads; at least one, since nothing cannot be continued.

    Args:
        loaded: the model.
        prompt: a text, or a conversation as `hfcli.tasks.messages` reads it.
        options: how it is put.
        tools: that a conversation may use.

    Raises:
        ModelError: a chat template is wanted, and the model has none or it fails.
        DataError: messages that are not a conversation.
    """
    tokenizer: Any = loaded.tokenizer
    messages = not isinstance(prompt, str)
    if uses_chat(loaded, options, messages=messages):
        return _chat_ids(loaded, _conversation(prompt, options.system, tools))
    text = prompt if isinstance(prompt, str) else ""
    if options.system:
        text = f"{options.system}\n\n{text}"
    ids = tokenizer(text, verbose=False)["input_ids"]
    if not ids:
        first = tokenizer.bos_token_id
        ids = [first if first is not None else tokenizer.eos_token_id]
    return tuple(ids)


def room_for_text(loaded: ReadableModel, n_prompt: int) -> int:
    """Tokens that can follow the prompt.

    Raises:
        DataError: none.
    """
    context = context_length(loaded.tokenizer, loaded.model)
    if n_prompt >= context:
        raise DataError(
            f"the prompt has {n_prompt} tokens, the model takes {context} with the text to come",
            hint="shorten the prompt, or choose a model with a longer context",
        )
    return context - n_prompt


def _conversation(prompt: str | Messages, system: str | None, tools: Any) -> Conversation:
    if isinstance(prompt, str):
        messages = [{"role": "user", "content": prompt}]
    elif not prompt:
        raise DataError("messages is an empty list")
    else:
        try:
            messages = read_messages(prompt)
        except BadMessages as e:
            raise DataError(f"messages: {e}") from e
    if system is not None and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    try:
        return Conversation(messages, read_tools(tools))
    except BadMessages as e:
        raise DataError(f"tools: {e}") from e


def _chat_ids(loaded: ReadableModel, chat: Conversation) -> tuple[int, ...]:
    check_template(loaded.tokenizer, chat)
    refused = f"{loaded.source.name}: its chat template refuses this"
    return tuple(chat_ids(loaded.tokenizer, chat, opened=True, refused=(ModelError, refused)))
