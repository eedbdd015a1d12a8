"""Shapes of language-modelling data: plain text, prompt and completion, chat messages.

A shape turns rows into documents: token ids, and which of them are learned and scored. Knows
nothing about blocks, windows or batches.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hfcli.errors import DataError, ModelError
from hfcli.tasks.chat_templates import Conversation, chat_ids, check_template, said
from hfcli.tasks.messages import BadMessages, read_messages, read_tools
from hfcli.tasks.prepared import Overflow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Batch = dict[str, list[Any]]


@dataclass(frozen=True)
class Document:
    """One text.

    Args:
        ids: its tokens, with what stands before it.
        supervised: for each token, whether it is learned and scored.
        n_bytes: UTF-8 bytes of the text whose tokens are supervised.
        n_words: its words, as `str.split` counts them.
        n_prefix: how many of the first ids stand before the text (BOS).
        closed: whether the ids hold the token that ends the text already.
    """

    ids: list[int]
    supervised: list[bool]
    n_bytes: int
    n_words: int
    n_prefix: int = 0
    closed: bool = False


@dataclass(frozen=True)
class Shape:
    """How rows become documents."""

    overflow: ClassVar[Overflow] = "truncate"  # what is done with long documents by default
    changes_rows: ClassVar[bool] = False  # whether `stored` changes values

    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Columns that are read."""

    def more_columns(self) -> tuple[str, ...]:
        """Columns that are read where the data has them."""
        return ()

    def stored(self, row: dict[str, Any]) -> dict[str, Any]:
        """What is kept of a row that `check` found good."""
        return {name: row[name] for name in self.columns()}

    @abstractmethod
    def check(self, row: dict[str, Any]) -> str | None:
        """Why a row cannot be used, or None."""

    @abstractmethod
    def documents(
        self, batch: Batch, tokenizer: PreTrainedTokenizerBase
    ) -> Iterator[Document | DataError | None]:
        """One document a row, None for an empty row, an error for one that is refused."""

    def text(self, batch: Batch) -> Iterator[str]:
        """The text of every row, for a tokenizer that is trained from scratch."""
        for column in self.columns():
            yield from (value or "" for value in batch[column])


@dataclass(frozen=True)
class PlainText(Shape):
    """A column with text; all of it is learned. It stands after BOS, or EOS where there is none."""

    column: str
    overflow: ClassVar[Overflow] = "split"

    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def check(self, row: dict[str, Any]) -> str | None:
        return not_text(row, self.column)

    def documents(
        self, batch: Batch, tokenizer: PreTrainedTokenizerBase
    ) -> Iterator[Document | None]:
        first = prefix(tokenizer)
        texts = [text or "" for text in batch[self.column]]
        for text, ids in zip(texts, _encode(tokenizer, texts), strict=True):
            if not ids:
                yield None
            else:
                supervised = [False] * len(first) + [True] * len(ids)
                yield Document(
                    [*first, *ids], supervised, len(text.encode()), len(text.split()), len(first)
                )


@dataclass(frozen=True)
class Completion(Shape):
    """A column with prompts and one with what should follow; only the latter is learned.

    The two are tokenized apart, as they are when a prompt is continued: what a model learns to
    write stands after the very tokens it will be given.
    """

    prompt: str
    completion: str

    def columns(self) -> tuple[str, ...]:
        return (self.prompt, self.completion)

    def check(self, row: dict[str, Any]) -> str | None:
        return not_text(row, self.prompt) or not_text(row, self.completion)

    def documents(
        self, batch: Batch, tokenizer: PreTrainedTokenizerBase
    ) -> Iterator[Document | None]:
        prompts = [text or "" for text in batch[self.prompt]]
        completions = [text or "" for text in batch[self.completion]]
        before = _encode(tokenizer, prompts, add_special_tokens=True)
        after = _encode(tokenizer, completions)
        for prompt, new, text in zip(before, after, completions, strict=True):
            if not new:
                yield None
                continue
            ids = list(prompt) or prefix(tokenizer)
            supervised = [False] * len(ids) + [True] * len(new)
            yield Document([*ids, *new], supervised, len(text.encode()), len(text.split()))

    def text(self, batch: Batch) -> Iterator[str]:
        pairs = zip(batch[self.prompt], batch[self.completion], strict=True)
        yield from (f"{prompt}{completion}" for prompt, completion in pairs)


@dataclass(frozen=True)
class Chat(Shape):
    """A column with lists of messages; the assistant's turns are learned.

    Args:
        column: conversations, as `hfcli.tasks.messages` reads them.
        tools: column with the tools that a conversation may use; None: there is none.
    """

    column: str
    tools: str | None = None
    changes_rows: ClassVar[bool] = True

    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def more_columns(self) -> tuple[str, ...]:
        return () if self.tools is None else (self.tools,)

    def check(self, row: dict[str, Any]) -> str | None:
        try:
            messages = read_messages(row[self.column])
        except BadMessages as e:
            return f"column {self.column!r}: {e}"
        try:
            read_tools(row.get(self.tools) if self.tools else None)
        except BadMessages as e:
            return f"column {self.tools!r}: {e}"
        if all(message["role"] != "assistant" for message in messages):
            return f"column {self.column!r}: there is no message of the assistant to learn from"
        return None

    def stored(self, row: dict[str, Any]) -> dict[str, Any]:
        kept = {self.column: json.dumps(read_messages(row[self.column]), default=str)}
        if self.tools is not None:
            tools = read_tools(row.get(self.tools))
            kept[self.tools] = json.dumps(tools, default=str) if tools else ""
        return kept

    def documents(
        self, batch: Batch, tokenizer: PreTrainedTokenizerBase
    ) -> Iterator[Document | DataError | None]:
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError(
                "the model has no chat template, and the data are chat messages",
                hint="task.chat_template names a file with one, or choose an instruction-tuned"
                " model",
            )
        for chat in self._chats(batch):
            try:
                yield self._document(chat, tokenizer)
            except DataError as e:
                yield e

    def _document(self, chat: Conversation, tokenizer: PreTrainedTokenizerBase) -> Document:
        check_template(tokenizer, chat)
        ids: list[int] = []
        supervised: list[bool] = []
        texts = []
        for i, message in enumerate(chat.messages):
            if message["role"] != "assistant":
                continue
            asked = chat_ids(tokenizer, chat.upto(i), opened=True)
            answered = chat_ids(tokenizer, chat.upto(i + 1), opened=False)
            if answered[: len(asked)] != asked or asked[: len(ids)] != ids:
                raise DataError(
                    "the chat template changes what stands before an answer when the answer is"
                    " added, so the tokens of the answer cannot be told",
                    hint="task.chat_template names a file with a template that only appends",
                )
            supervised += [False] * (len(asked) - len(ids))
            supervised += [True] * (len(answered) - len(asked))
            ids = answered
            texts.append(said(message))
        n_bytes = sum(len(text.encode()) for text in texts)
        n_words = sum(len(text.split()) for text in texts)
        return Document(ids, supervised, n_bytes, n_words, closed=True)

    def text(self, batch: Batch) -> Iterator[str]:
        for chat in self._chats(batch):
            yield from (str(message["content"]) for message in chat.messages)

    def _chats(self, batch: Batch) -> Iterator[Conversation]:
        """Rows of files hold conversations as JSON, others as lists."""
        tools = batch.get(self.tools or "", [None] * len(batch[self.column]))
        for value, usable in zip(batch[self.column], tools, strict=True):
            messages = json.loads(value) if isinstance(value, str) else value
            yield Conversation(read_messages(messages), read_tools(usable))


def prefix(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What a text stands after: BOS, or EOS where there is no BOS; nothing without either."""
    bos: int | None = tokenizer.bos_token_id
    eos: int | None = tokenizer.eos_token_id
    first = bos if bos is not None else eos
    return [] if first is None else [int(first)]


def not_text(row: dict[str, Any], column: str) -> str | None:
    """Why the cell is not a text, or None."""
    value = row[column]
    if not isinstance(value, str):
        return f"column {column!r} must be text, found {type(value).__name__}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"column {column!r} holds half a surrogate pair"
    return None


def _encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, add_special_tokens: bool = False
) -> list[list[int]]:
    encoded = tokenizer(list(texts), add_special_tokens=add_special_tokens, verbose=False)
    ids: list[list[int]] = encoded["input_ids"]
    return ids
