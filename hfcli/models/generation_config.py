"""A model's own generation settings, checked when they are loaded, not when they first matter."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.errors import ModelError
from hfcli.foreign import cut, foreign_errors

if TYPE_CHECKING:
    from transformers import GenerationConfig

FILE = "generation_config.json"
MOST_BEAMS = 10_000
MOST = 1 << 53  # of any number of tokens


def load_generation_config(folder: Path) -> GenerationConfig:
    """Load the settings in a folder.

    Raises:
        ModelError: they cannot be read.
    """
    from transformers import GenerationConfig

    with foreign_errors(ModelError, f"{folder / FILE}: cannot be used"):
        return GenerationConfig.from_pretrained(folder)


def check_generation_config(config: GenerationConfig, name: str) -> None:
    """Check the values that decoding uses.

    Args:
        config: as a model brought it.
        name: of the model.

    Raises:
        ModelError: a value of another type or range than the setting takes.
    """
    for key, (fits, wanted) in CHECKS.items():
        value = getattr(config, key, None)
        if value is not None and not fits(value):
            raise ModelError(
                f"{name}: {FILE}: {key} is {cut(repr(value), 40)}, not {wanted}",
                hint="correct the file, or remove the key",
            )


def _is_int(value: Any, least: int = 0, most: int = MOST) -> bool:
    return type(value) is int and least <= value <= most


def _is_number(value: Any, least: float, most: float = math.inf) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and least <= value <= most


def _are_ids(value: Any) -> bool:
    return _is_int(value, -1) or (isinstance(value, list) and all(_is_int(i, -1) for i in value))


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(word, list) and word and all(map(_is_int, word)) for word in value
    )


def _are_strings(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(text, str) for text in value)
    )


Check = tuple[Callable[[Any], bool], str]
COUNT: Check = (_is_int, "a whole number of at least 0")
IDS: Check = (_are_ids, "the number of a token, or a list of them")
SHARE: Check = (lambda value: _is_number(value, 0, 1), "a number from 0 to 1")
FACTOR: Check = (lambda value: _is_number(value, 1e-9), "a number above 0")
FLAG: Check = (lambda value: isinstance(value, bool), "true or false")
CHECKS: dict[str, Check] = {
    "do_sample": FLAG,
    "temperature": (lambda value: _is_number(value, 0), "a number of at least 0"),
    "top_k": COUNT,
    "top_p": SHARE,
    "min_p": SHARE,
    "typical_p": SHARE,
    "repetition_penalty": FACTOR,
    "encoder_repetition_penalty": FACTOR,
    "length_penalty": (lambda value: _is_number(value, -math.inf), "a number"),
    "num_beams": (
        lambda value: _is_int(value, 1, MOST_BEAMS),
        f"a whole number from 1 to {MOST_BEAMS:,}",
    ),
    "num_return_sequences": (lambda value: _is_int(value, 1), "a whole number of at least 1"),
    "no_repeat_ngram_size": COUNT,
    "max_new_tokens": COUNT,
    "max_length": COUNT,
    "min_new_tokens": COUNT,
    "min_length": COUNT,
    "bos_token_id": IDS,
    "eos_token_id": IDS,
    "pad_token_id": IDS,
    "suppress_tokens": IDS,
    "begin_suppress_tokens": IDS,
    "bad_words_ids": (_are_words, "a list of lists of numbers of tokens"),
    "stop_strings": (_are_strings, "a string, or a list of strings"),
}
