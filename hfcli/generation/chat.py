"""A conversation with a model, kept in memory: each turn reads only what is new.

Knows nothing about terminals; `hfcli.cli.chat` does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli import files
from hfcli.errors import DataError, RecipeError
from hfcli.fast.portable import SpeculativeDecoding
from hfcli.foreign import forward_errors
from hfcli.generation.batchable import open_decoder_state
from hfcli.generation.engines import open_engine
from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.prompts import Messages, PromptOptions, prompt_ids, uses_chat
from hfcli.generation.row import Row
from hfcli.generation.run import RequestMaker, TextOptions
from hfcli.generation.sampling import sample_tokens
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import Listener
from hfcli.tasks.base import context_length
from hfcli.user_text import parse_json, read_text

if TYPE_CHECKING:
    from hfcli.fast.decoders import Decoder
    from hfcli.models.load import ReadableModel

DEFAULT_MAX_ANSWER_TOKENS = 512  # where neither a flag nor the model says


@dataclass(frozen=True)
class Reply:
    """An answer.

    Args:
        n_read: tokens of the conversation that had to be read for it.
        n_kept: tokens that were in memory from the turns before.
        interrupted: the user stopped it; `text` is what there was.
    """

    text: str
    n_read: int
    n_kept: int
    n_new_tokens: int
    seconds: float
    interrupted: bool


class Conversation:
    """Messages, and the memory of having read them.

    Args:
        loaded: the model.
        settings: how its answers are decoded.
        system: what it is told first.
        chat_template: False: plain text, turns on lines of their own, for models without one.
        seed: of the first answer; the n-th answer has `seed + n`.
        decoder: the model's fused decoder; None: its modules.
        stops: strings that end an answer and are not part of it.

    Raises:
        ModelError: the model has no chat template, and `chat_template` is not False.
    """

    def __init__(
        self,
        *,
        loaded: ReadableModel,
        settings: GenerationSettings,
        system: str | None = None,
        chat_template: bool = True,
        seed: int = 0,
        decoder: Decoder | None = None,
        stops: tuple[str, ...] = (),
    ) -> None:
        self.decoder = decoder
        self.loaded = loaded
        self.system = system
        self.seed = seed
        self.templated = chat_template
        uses_chat(loaded, PromptOptions(system, chat_template), messages=chat_template)
        self.maker = RequestMaker(
            loaded, settings, TextOptions(stops=stops), DEFAULT_MAX_ANSWER_TOKENS
        )
        self.messages: Messages = []
        self.reset()

    def reset(self) -> None:
        """Forget everything but the system prompt."""
        self.messages = [{"role": "system", "content": self.system}] if self.system else []
        self._forget()

    def _forget(self) -> None:
        longest = context_length(self.loaded.tokenizer, self.loaded.model)
        self._memory = open_decoder_state(self.loaded.model, longest, self.decoder)
        self._read: list[int] = []

    def undo(self) -> bool:
        """Take back the last question and its answer; whether there was one."""
        for i in range(len(self.messages) - 1, -1, -1):
            if self.messages[i]["role"] == "user":
                del self.messages[i:]
                return True
        return False

    def save(self, path: Path) -> None:
        """Write the messages as JSON.

        Raises:
            RunError: the file cannot be written.
        """
        text = json.dumps(self.messages, ensure_ascii=False, indent=2)
        files.write_text(path, text + "\n", errors="backslashreplace")

    def load(self, path: Path) -> None:
        """Go on with the messages of a file.

        Raises:
            DataError: it cannot be read, or holds no messages.
        """
        try:
            messages = parse_json(read_text(path, DataError))
        except ValueError as e:
            raise DataError(f"{path}: not JSON ({e})") from e
        roles = ("system", "user", "assistant")
        if not isinstance(messages, list) or not all(
            isinstance(m, dict) and m.get("role") in roles and isinstance(m.get("content"), str)
            for m in messages
        ):
            raise DataError(f"{path}: holds no conversation (a list of roles and contents)")
        self.messages = messages

    def say(self, text: str, on_text: Callable[[str], None]) -> Reply:
        """Ask, and stream the answer; an interrupt ends it and keeps what there is.

        Raises:
            DataError: the conversation has outgrown the model's context; nothing was added.
        """
        import torch

        asked = [*self.messages, {"role": "user", "content": text}]
        ids = self._ids(asked)
        answers = sum(message["role"] == "assistant" for message in self.messages)
        request = self.maker.make(0, ids, self.seed + answers)
        row = Row(request, self.loaded.tokenizer, on_text)
        start = time.perf_counter()
        interrupted = False
        kept = 0
        try:
            with forward_errors(self.loaded.model), torch.inference_mode():
                kept = self._write(row)
        except KeyboardInterrupt:
            interrupted = True
            row.stream.end()
            self._forget()  # the memory may hold half a step
        self.messages = [*asked, {"role": "assistant", "content": row.stream.text}]
        return Reply(
            text=row.stream.text,
            n_read=len(ids) - kept,
            n_kept=kept,
            n_new_tokens=len(row.new),
            seconds=time.perf_counter() - start,
            interrupted=interrupted,
        )

    def _ids(self, messages: Messages) -> tuple[int, ...]:
        if self.templated:
            return prompt_ids(self.loaded, messages, PromptOptions(None, True))
        text = "\n".join(str(message["content"]) for message in messages)
        return prompt_ids(self.loaded, text + "\n", PromptOptions(None, False))

    def _write(self, row: Row) -> int:
        """Write the answer; how many tokens of the prompt were in memory."""
        ids = list(row.request.ids)
        kept = 0
        while kept < min(len(self._read), len(ids) - 1) and self._read[kept] == ids[kept]:
            kept += 1
        memory: Any = self._memory
        if kept and memory.truncate(0, kept):
            logits = memory.decode([ids[kept:]])[:, -1]
        else:
            kept = 0
            if memory.lengths:
                memory.free(0)
            logits = memory.prefill([ids])
        self._read = ids
        request = row.request
        while True:
            how = ([request.decoding], [request.seed], [len(row.new)])
            token = sample_tokens(row.rule(logits), *how, exact=False).tokens[0]
            row.take(token)
            if row.finish_reason:
                return kept
            logits = memory.decode([[token]])[:, -1]
            self._read.append(token)


def open_conversation(
    *,
    choice: ModelChoice,
    settings: GenerationSettings,
    system: str | None,
    chat_template: bool,
    seed: int,
    listener: Listener,
    engine: str = "transformers",
    stops: tuple[str, ...] = (),
) -> Conversation:
    """Load the model and begin.

    Raises:
        RecipeError: an engine that does not read a token at a time.
        ModelError, RunError: see `hfcli.errors`.
    """
    without = choice.without | {SpeculativeDecoding.name}
    choice = replace(choice, without=without)  # answers are not guessed
    opened = open_engine(engine, EngineOptions(choice=choice, listener=listener, one_stream=True))
    if not isinstance(opened, TransformersEngine):
        raise RecipeError(f"hfcli chat does not go with the engine {engine}")
    opened.pack()
    return Conversation(
        loaded=opened.loaded,
        settings=settings,
        system=system,
        chat_template=chat_template,
        seed=seed,
        decoder=opened.decoder,
        stops=stops,
    )
