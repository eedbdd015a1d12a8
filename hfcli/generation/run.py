"""One prompt -> one text, streamed, with transformers' own generate()."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfcli.device import resolve_device, resolve_dtype
from hfcli.errors import DataError
from hfcli.generation.settings import effective_settings, eos_ids, generation_config
from hfcli.generation.stream import TextStream
from hfcli.models.load import LoadedModel, load_model
from hfcli.models.resolve import resolve_model
from hfcli.recipe.generation import GenerationSettings
from hfcli.results import GenerateResult, Listener, Note, TextPiece
from hfcli.tasks.base import context_length
from hfcli.tasks.text_generation import TextGeneration

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GenerationConfig


@dataclass(frozen=True)
class ModelChoice:
    """Which model to load, and how."""

    name: str | None = None
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    offline: bool = False


def generate(
    *,
    prompt: str,
    choice: ModelChoice,
    settings: GenerationSettings,
    seed: int,
    listener: Listener,
) -> GenerateResult:
    """Load the model and continue the prompt.

    Args:
        prompt: the text as it is; no template is applied.
        choice: model, device and number type.
        settings: what was asked for; the rest is the model's own or a default.
        seed: the same seed gives the same text on the same machine.
        listener: gets notes and the text, piece by piece.

    Raises:
        ModelError, RunError: see `hfcli.errors`.
        DataError: the prompt fills the model's context.
    """
    loaded = _load(choice, listener)
    return continue_text(
        loaded=loaded, prompt=prompt, settings=settings, seed=seed, listener=listener
    )


def continue_text(
    *,
    loaded: LoadedModel,
    prompt: str,
    settings: GenerationSettings,
    seed: int,
    listener: Listener,
) -> GenerateResult:
    """`generate` with a model that is loaded already."""
    import torch
    from transformers import set_seed

    config = generation_config(settings=settings, loaded=loaded)
    inputs = _encode(prompt, loaded)
    n_prompt = inputs["input_ids"].shape[1]
    _fit_into_context(config, n_prompt, settings, loaded, listener)
    stream = TextStream(loaded.tokenizer, lambda piece: listener(TextPiece(piece)))
    # generate() cannot stream beams: which one wins is known at the end only.
    streamer = {} if (config.num_beams or 1) > 1 else {"streamer": stream}
    set_seed(seed)
    start = time.perf_counter()
    model: Any = loaded.model
    with torch.inference_mode():
        output = model.generate(**inputs, generation_config=config, **streamer)
    seconds = time.perf_counter() - start
    new_ids = output[0, n_prompt:].tolist()
    if not streamer:
        stream.ids = new_ids
        stream.end()
    stopped = bool(new_ids) and new_ids[-1] in eos_ids(config)
    return GenerateResult(
        prompt=prompt,
        text=stream.text,
        finish_reason="stop" if stopped else "length",
        n_prompt_tokens=n_prompt,
        n_new_tokens=len(new_ids),
        seconds=seconds,
        tokens_per_second=len(new_ids) / seconds if seconds else 0.0,
        model=loaded.source.name,
        revision=loaded.source.revision,
        seed=seed,
        settings=effective_settings(config),
    )


def _load(choice: ModelChoice, listener: Listener) -> LoadedModel:
    source = resolve_model(choice.name, revision=choice.revision, offline=choice.offline)
    if source.note:
        listener(Note(source.note))
    placement = resolve_device(choice.device)
    return load_model(
        source=source,
        task=TextGeneration(),
        dtype=resolve_dtype(choice.dtype, placement.device),
        placement=placement,
    )


def _encode(prompt: str, loaded: LoadedModel) -> dict[str, Tensor]:
    """input_ids and attention_mask, (1, n) with n >= 1, on the model's device."""
    import torch

    tokenizer = loaded.tokenizer
    ids = tokenizer(prompt, verbose=False)["input_ids"]
    if not ids:  # generate() cannot start from nothing
        first = tokenizer.bos_token_id
        ids = [first if first is not None else tokenizer.eos_token_id]
    input_ids = torch.tensor([ids], device=loaded.model.device)
    return {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}


def _fit_into_context(
    config: GenerationConfig,
    n_prompt: int,
    settings: GenerationSettings,
    loaded: LoadedModel,
    listener: Listener,
) -> None:
    """Keep prompt and text inside the context: past it GPT-2 fails with an IndexError."""
    context = context_length(loaded.tokenizer, loaded.model)
    room = context - n_prompt
    if room < 1:
        raise DataError(
            f"the prompt has {n_prompt} tokens, the model takes {context} with the text to come",
            hint="shorten the prompt, or choose a model with a longer context",
        )
    if int(config.max_new_tokens or 0) <= room:
        return
    if settings.max_new_tokens is not None:
        listener(
            Note(
                f"max_new_tokens is {room} instead of {settings.max_new_tokens}: the model takes"
                f" {context} tokens, {n_prompt} of them are the prompt"
            )
        )
    config.max_new_tokens = room
