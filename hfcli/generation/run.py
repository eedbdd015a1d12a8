"""One prompt -> one text, streamed, or several samples of it. Knows nothing about terminals."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hfcli.errors import RecipeError
from hfcli.generation.beams import beam_search
from hfcli.generation.engines import open_engine
from hfcli.generation.engines.base import Engine, EngineOptions
from hfcli.generation.loading import ModelChoice
from hfcli.generation.prompts import PromptOptions, prompt_ids, room_for_text, uses_chat
from hfcli.generation.request import Finished, Request
from hfcli.generation.sampling import row_seed
from hfcli.generation.settings import (
    DEFAULT_MAX_NEW_TOKENS,
    decoding,
    effective_settings,
    eos_ids,
    generation_config,
    never_written,
    not_applied,
    processors,
    stop_strings,
)
from hfcli.generation.structured import Grammar, constraint_factory
from hfcli.models.load import ReadableModel
from hfcli.origins import as_typed
from hfcli.recipe.sections import GenerationSettings
from hfcli.results import GenerateResult, Listener, Note, TextPiece

if TYPE_CHECKING:
    from transformers import GenerationConfig


GRAMMAR_FLAGS = ("--choices", "--regex", "--json-schema")


@dataclass(frozen=True)
class TextOptions:
    """Options of a text beside GenerationConfig's settings.

    Args:
        num_samples: texts a prompt; the prompt is read once for all of them.
        stops: strings that end a text and are not part of it.
        logprobs: alternatives a token to report; None: no log-probabilities.
        prompt: system prompt and chat template.
        grammar: what a text must be.
    """

    num_samples: int = 1
    stops: tuple[str, ...] = ()
    logprobs: int | None = None
    prompt: PromptOptions = field(default_factory=PromptOptions)
    grammar: Grammar | None = None


class RequestMaker:
    """Makes the requests of one model and one set of settings; the grammar is compiled once.

    Args:
        loaded: the model.
        settings: what was asked for; the rest is the model's own or a default.
        options: what is wanted beside settings.
        max_new_tokens: length where neither the settings nor the model say one.
    """

    def __init__(
        self,
        loaded: ReadableModel,
        settings: GenerationSettings,
        options: TextOptions,
        max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    ) -> None:
        self.loaded = loaded
        self.settings = settings
        self.options = options
        self.config = generation_config(
            settings=settings, loaded=loaded, max_new_tokens=max_new_tokens
        )
        self.stops = stop_strings(self.config, options.stops)
        self.eos = frozenset(eos_ids(self.config))
        self.never = never_written(loaded)
        grammar = options.grammar
        self.constraint = (
            constraint_factory(grammar, loaded.tokenizer, self.eos) if grammar else None
        )

    def make(self, number: int, ids: tuple[int, ...], seed: int) -> Request:
        """Return the request for a text after `ids`.

        Raises:
            DataError: the prompt fills the model's context.
        """
        room = room_for_text(self.loaded, len(ids))
        return Request(
            number=number,
            ids=ids,
            seed=seed,
            decoding=decoding(self.config),
            max_new_tokens=min(int(self.config.max_new_tokens or room), room),
            eos=self.eos,
            stops=self.stops,
            logprobs=self.options.logprobs,
            processors=processors(self.config, len(ids)),
            never=self.never,
            constraint=self.constraint,
        )


def generate(
    *,
    prompt: str,
    choice: ModelChoice,
    settings: GenerationSettings,
    options: TextOptions,
    seed: int,
    listener: Listener,
    engine: str = "transformers",
    prompt_lookup: bool = False,
    draft_model: str | None = None,
) -> list[GenerateResult]:
    """Load the model and continue the prompt; one result a sample.

    Args:
        prompt: the text, put into the model's chat template where it has one.
        choice: model, device and number type.
        settings: what was asked for; the rest is the model's own or a default.
        options: samples, stop strings, log-probabilities, templates, grammar.
        seed: the same seed gives the same text on the same machine.
        listener: gets notes and, of a single sample, the text, piece by piece.
        engine: see `hfcli.generation.engines`.
        prompt_lookup: guess from the prompt; the text stays the same.
        draft_model: guess with this model; the text stays the same.

    Raises:
        ModelError, RunError: see `hfcli.errors`.
        DataError: the prompt fills the model's context.
        RecipeError: settings that do not go together, or a wrong grammar.
    """
    opened = open_engine(
        engine,
        EngineOptions(
            choice=choice,
            listener=listener,
            batch_size=None if options.num_samples > 1 else 1,
            prompt_lookup=prompt_lookup,
            draft_model=draft_model,
            one_stream=options.num_samples == 1 and options.logprobs is None,
        ),
    )
    return continue_text(
        engine=opened, prompt=prompt, settings=settings, options=options, seed=seed,
        listener=listener,
    )  # fmt: skip


def continue_text(
    *,
    engine: Engine,
    prompt: str,
    settings: GenerationSettings,
    options: TextOptions,
    seed: int,
    listener: Listener,
) -> list[GenerateResult]:
    """Continue the prompt with an engine whose model is loaded; see `generate`."""
    loaded = engine.loaded
    maker = RequestMaker(loaded, settings, options)
    ids = prompt_ids(loaded, prompt, options.prompt)
    chat = uses_chat(loaded, options.prompt)
    if chat and options.prompt.chat_template is None:
        listener(Note("using the model's chat template; --no-chat-template continues the raw text"))
    # The first sample has the seed itself, so that asking for more changes nothing about it.
    seeds = [seed, *(row_seed(seed, "", i) for i in range(1, options.num_samples))]
    requests = [maker.make(i, ids, s) for i, s in enumerate(seeds)]
    _note_limits(maker.config, requests[0], settings, listener)
    single = options.num_samples == 1
    on_text = (lambda piece: listener(TextPiece(piece))) if single else None
    start = time.perf_counter()
    if (maker.config.num_beams or 1) > 1:
        if not engine.beams:
            raise RecipeError("beam search (num_beams) needs the engine transformers")
        finished = _beams(loaded, requests, maker.config, on_text)
    else:
        finished = sorted(engine.run(requests, on_text), key=lambda f: f.request.number)
    seconds = time.perf_counter() - start
    cut = sum(f.finish_reason == "length" for f in finished)
    if options.grammar and cut:
        of = f"{cut} of {len(finished)} texts"
        listener(Note(f"{of} were cut off before they were complete: raise --max-new-tokens"))
    total = sum(len(f.ids) for f in finished)
    return [
        GenerateResult(
            prompt=prompt,
            text=f.text,
            finish_reason=f.finish_reason,
            n_prompt_tokens=len(ids),
            n_new_tokens=len(f.ids),
            seconds=seconds,
            tokens_per_second=total / seconds if seconds else 0.0,
            model=loaded.source.name,
            revision=loaded.source.revision,
            seed=f.request.seed,
            settings={
                **effective_settings(maker.config),
                "max_new_tokens": f.request.max_new_tokens,
                "stop": list(maker.stops),
                "system": options.prompt.system,
                "chat_template": chat,
                **(options.grammar.describe() if options.grammar else {}),
            },
            sample=f.request.number,
            logprobs=f.logprobs,
            acceptance_rate=engine.counts.acceptance_rate(),
        )
        for f in finished
    ]


def _beams(
    loaded: ReadableModel,
    requests: list[Request],
    config: GenerationConfig,
    on_text: Callable[[str], None] | None,
) -> list[Finished]:
    request = requests[0]
    clashes = {
        as_typed("--logprobs"): request.logprobs is not None,
        ", ".join(map(as_typed, GRAMMAR_FLAGS)): request.constraint is not None,
    }
    for flag, given in clashes.items():
        if given:
            raise RecipeError(f"{flag} cannot be combined with beam search (num_beams)")
    if len(requests) > (config.num_beams or 1):
        raise RecipeError(
            f"{as_typed('--num-samples')} {len(requests)}: beam search with {config.num_beams}"
            f" beams finds {config.num_beams} texts",
            hint="raise --num-beams, or sample without it",
        )
    return beam_search(loaded, requests, config, on_text)


def _note_limits(
    config: GenerationConfig, request: Request, settings: GenerationSettings, listener: Listener
) -> None:
    wanted = settings.max_new_tokens
    if wanted is not None and request.max_new_tokens < wanted:
        n = len(request.ids)
        listener(
            Note(
                f"max_new_tokens is {request.max_new_tokens} instead of {wanted}: the model takes"
                f" {n + request.max_new_tokens} tokens, {n} of them are the prompt"
            )
        )
    ignored = not_applied(config)
    if ignored and (config.num_beams or 1) == 1:
        listener(Note(f"the model's own settings {', '.join(ignored)} are not applied"))
