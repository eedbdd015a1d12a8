"""Texts that must follow a grammar: one of some choices, a regular expression, a JSON schema.

The work is done by llguidance (MIT), the optional extra `hfcli[structured]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfcli.errors import ModelError, RecipeError, RunError
from hfcli.generation.request import Constraint

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

INSTALL = "pip install 'hfcli[structured]'"
# What nothing forbids between JSON's tokens a model can go on with until its length is reached.
COMPACT: Any = {"whitespace_flexible": False}


@dataclass(frozen=True)
class Grammar:
    """What a text must be; exactly one of the three is given.

    Args:
        choices: one of these strings.
        regex: a match of this expression, from start to end (Rust's syntax).
        json_schema: a JSON value of this schema, without white space between its parts.
    """

    choices: tuple[str, ...] = ()
    regex: str | None = None
    json_schema: str | None = None

    def describe(self) -> dict[str, Any]:
        """For records: the one that is given."""
        values = {"choices": list(self.choices), "regex": self.regex, "json_schema": None}
        if self.json_schema is not None:
            values["json_schema"] = json.loads(self.json_schema)
        return {name: value for name, value in values.items() if value}


def constraint_factory(
    grammar: Grammar, tokenizer: PreTrainedTokenizerBase, eos: Iterable[int]
) -> Callable[[], Constraint]:
    """A function that makes a new constraint a text.

    Raises:
        RunError: llguidance is not installed.
        RecipeError: the grammar is wrong.
        ModelError: the tokenizer is not a fast one, or the model has no token that ends a text.
    """
    try:
        import llguidance
        import llguidance.hf
    except ImportError as e:
        raise RunError("constrained output needs llguidance", hint=INSTALL) from e
    ends = sorted(eos)
    if not ends:
        raise ModelError("constrained output needs a model with an end-of-text token")
    try:
        tokens = llguidance.hf.from_tokenizer(tokenizer, eos_token=ends)  # type: ignore[arg-type]
    except ValueError as e:
        raise ModelError(f"constrained output does not know this tokenizer ({e})") from e
    compiled = _compile(grammar)
    first = llguidance.LLMatcher(tokens, compiled)
    if first.is_error():
        reason = " ".join(first.get_error().split())
        raise RecipeError(f"{next(iter(grammar.describe()))}: {reason}")
    return lambda: _Matcher(first.deep_copy())


def _compile(grammar: Grammar) -> str:
    from llguidance import LLMatcher

    if grammar.json_schema is not None:
        try:
            return LLMatcher.grammar_from_json_schema(grammar.json_schema, overrides=COMPACT)
        except ValueError as e:
            raise RecipeError(f"json_schema: {e}") from e
    if grammar.regex is not None:
        return LLMatcher.grammar_from_regex(grammar.regex)
    return LLMatcher.grammar_from_regex("|".join(f"({re.escape(c)})" for c in grammar.choices))


class _Matcher:
    """See `hfcli.generation.request.Constraint`."""

    def __init__(self, matcher: Any) -> None:
        self.matcher = matcher

    def mask(self, logits: Tensor) -> Tensor:
        """(1, vocabulary) logits; tokens that the grammar rules out are -inf."""
        import numpy
        import torch

        words = numpy.frombuffer(self.matcher.compute_bitmask(), dtype=numpy.uint8)
        bits = torch.from_numpy(numpy.unpackbits(words, bitorder="little")).to(logits.device)
        allowed = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
        n = min(len(bits), len(allowed))
        allowed[:n] = bits[:n].bool()
        return logits.masked_fill(~allowed, -torch.inf)

    def take(self, token: int) -> None:
        """Go on by a token that the mask allowed."""
        self.matcher.consume_token(token)

    def is_complete(self) -> bool:
        """Whether nothing can follow."""
        return bool(self.matcher.is_stopped())
