"""Settings as given + the model's own + hfcli's defaults -> one GenerationConfig, and from it
what a request says. Knows nothing about prompts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hfcli.generation.sampling import SamplingParams
from hfcli.models.load import ReadableModel
from hfcli.models.tokenizer import PAD_TOKEN
from hfcli.recipe.sections import GenerationSettings

if TYPE_CHECKING:
    from transformers import GenerationConfig

# Those of transformers' text-generation pipeline, at half its length: a laptop writes 128 tokens
# of GPT-2 in a few seconds.
DEFAULT_MAX_NEW_TOKENS = 128
DEFAULT_TEMPERATURE = 0.7
# What transformers takes for what a generation_config.json leaves out, as soon as it samples.
UNSET_TEMPERATURE = 1.0
DEFAULT_TOP_K = 50
SAMPLING = ("temperature", "top_k", "top_p", "min_p")
# Settings a model may bring that have no place in a request; beam search honours them.
NOT_APPLIED = (
    "typical_p", "epsilon_cutoff", "eta_cutoff", "guidance_scale", "sequence_bias",
    "forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty",
    "begin_suppress_tokens", "watermarking_config", "top_h", "encoder_repetition_penalty",
    "encoder_no_repeat_ngram_size",
)  # fmt: skip
NEUTRAL: dict[str, Any] = {
    "typical_p": 1.0,
    "encoder_repetition_penalty": 1.0,
    "guidance_scale": 1.0,
}


def generation_config(
    *,
    settings: GenerationSettings,
    loaded: ReadableModel,
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
) -> GenerationConfig:
    """Return what decides the text: flags first, then the model's own settings, then defaults.

    Sampling is on unless greedy, `temperature` 0 or beams were asked for, or the model itself
    says `do_sample: false`.

    Args:
        settings: the flags.
        loaded: the model, with its generation_config.
        max_new_tokens: length where neither flags nor the model say one.
    """
    from transformers import GenerationConfig

    own = getattr(loaded.model, "generation_config", None)
    config = copy.deepcopy(own) if own is not None else GenerationConfig()
    given = {k: v for k, v in settings.model_dump().items() if v is not None}
    config.do_sample = _samples(settings, config)
    if config.do_sample:
        _fill_sampling(config)
    else:
        given = {k: v for k, v in given.items() if k not in SAMPLING}
        for name in SAMPLING:
            setattr(config, name, None)
    config.max_new_tokens = config.max_new_tokens or max_new_tokens
    config.max_length = None  # a second limit beside max_new_tokens only makes warnings
    for name, value in given.items():
        if name != "do_sample":
            setattr(config, name, value)
    _fill_token_ids(config, loaded)
    if (config.num_beams or 1) > 1:  # transformers' own search, which knows nothing of requests
        config.suppress_tokens = [*(config.suppress_tokens or []), *never_written(loaded)] or None
    return config


def _fill_sampling(config: GenerationConfig) -> None:
    """Fill in unset sampling settings, as transformers does where the model sets others."""
    says = any(getattr(config, name, None) is not None for name in SAMPLING)
    if config.temperature is None:
        config.temperature = UNSET_TEMPERATURE if says else DEFAULT_TEMPERATURE
    if config.top_k is None:
        config.top_k = DEFAULT_TOP_K


def effective_settings(config: GenerationConfig) -> dict[str, Any]:
    """Return the settings in effect, by GenerationConfig's names; None: no effect."""
    values = {name: getattr(config, name, None) for name in GenerationSettings.model_fields}
    values["do_sample"] = bool(config.do_sample)
    values["num_beams"] = config.num_beams or 1
    return values


def decoding(config: GenerationConfig) -> SamplingParams:
    """Return the sampling parameters of a request."""
    if not config.do_sample or config.top_p == 0:  # only the likeliest token is left
        return SamplingParams()
    return SamplingParams(
        temperature=float(config.temperature),
        top_k=int(config.top_k or 0),
        top_p=1.0 if config.top_p is None else float(config.top_p),
        min_p=float(config.min_p or 0.0),
    )


def processors(config: GenerationConfig, n_prompt: int) -> list[Callable[[Any, Any], Any]]:
    """Return transformers' LogitsProcessors that are no part of sampling, in its order."""
    from transformers.generation import logits_process as lp

    eos = sorted(eos_ids(config))
    found: list[Callable[[Any, Any], Any]] = []
    if config.repetition_penalty not in (None, 1.0):
        found.append(lp.RepetitionPenaltyLogitsProcessor(penalty=float(config.repetition_penalty)))
    if config.no_repeat_ngram_size:
        found.append(lp.NoRepeatNGramLogitsProcessor(config.no_repeat_ngram_size))
    if config.bad_words_ids:
        found.append(lp.NoBadWordsLogitsProcessor(config.bad_words_ids, eos))
    if config.min_new_tokens and eos:
        found.append(lp.MinNewTokensLengthLogitsProcessor(n_prompt, config.min_new_tokens, eos))
    if config.min_length and eos:
        found.append(lp.MinLengthLogitsProcessor(config.min_length, eos))
    if config.suppress_tokens:
        found.append(lp.SuppressTokensLogitsProcessor(config.suppress_tokens))
    return found


def not_applied(config: GenerationConfig) -> list[str]:
    """Return settings of the model's generation_config that hfcli does not apply."""
    return [
        name
        for name in NOT_APPLIED
        if (value := getattr(config, name, None)) not in (None, 0, 0.0, False)
        and value != NEUTRAL.get(name)
    ]


def _samples(settings: GenerationSettings, own: GenerationConfig) -> bool:
    if settings.do_sample is not None:
        return settings.do_sample
    if settings.temperature == 0:
        return False
    if any(getattr(settings, name) is not None for name in SAMPLING):
        return True
    if settings.num_beams is not None and settings.num_beams > 1:
        return False
    if own.temperature == 0:
        return False
    if own.do_sample is None and (own.num_beams or 1) > 1:
        return False  # as transformers takes it
    return True if own.do_sample is None else bool(own.do_sample)


def _fill_token_ids(config: GenerationConfig, loaded: ReadableModel) -> None:
    if config.eos_token_id is None:
        config.eos_token_id = loaded.tokenizer.eos_token_id
    if config.pad_token_id is None:
        eos = eos_ids(config)
        config.pad_token_id = loaded.tokenizer.pad_token_id or (min(eos) if eos else 0)


def never_written(loaded: ReadableModel) -> tuple[int, ...]:
    """Return ids that no text contains: padding that hfcli added and that was never trained.

    Models that were made from scratch have it, and those that earlier versions trained.
    """
    pad = loaded.tokenizer.pad_token_id
    own = pad is not None and loaded.tokenizer.pad_token == PAD_TOKEN
    return (int(pad),) if own else ()


def stop_strings(config: GenerationConfig, given: Sequence[str]) -> tuple[str, ...]:
    """Return the strings that end a text: those given, else the model's own."""
    own = config.stop_strings
    return tuple(given) or ((own,) if isinstance(own, str) else tuple(own or ()))


def eos_ids(config: GenerationConfig) -> set[int]:
    """Return the ids of the tokens that end a text."""
    ids = config.eos_token_id
    if ids is None:
        return set()
    return {int(i) for i in ids} if isinstance(ids, list) else {int(ids)}
