"""Texts, or pairs of texts -> token ids that fit the model. Knows nothing about labels.

A pair is what the tokenizer makes of it, where it puts a token of its own between the two (BERT:
`[CLS] a [SEP] b [SEP]`). GPT-2's and others' would put them together with nothing in between;
there the separator token stands between them, or else EOS: `a <|endoftext|> b`. Too long pairs
lose tokens of the longer text first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfcli.errors import DataError, ModelError, RecipeError
from hfcli.tasks.prepared import Tools

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Inputs:
    """What a model reads of a row.

    Args:
        values: input_ids, and token_type_ids where the tokenizer gives them; cut to fit.
        n_tokens: before cutting, special tokens included.
    """

    values: dict[str, list[int]]
    n_tokens: int


class Encoder:
    """A tokenizer with a longest input.

    Args:
        tokenizer: of the model.
        max_length: longest input in tokens, special tokens included.
        pairs: whether the inputs are pairs.

    Raises:
        RecipeError: special tokens leave no room for text.
        ModelError: the tokenizer has no token that could stand between two texts.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_length: int, *, pairs: bool = False
    ) -> None:
        self.tokenizer: Any = tokenizer
        self.max_length = max_length
        special = tokenizer.num_special_tokens_to_add(pair=pairs)
        self.joiner: int | None = None
        if pairs and special <= tokenizer.num_special_tokens_to_add(pair=False):
            self.joiner = _joiner(tokenizer)
            special += 1
        if max_length <= special + pairs:  # tokenizers do not cut at all then
            raise RecipeError(
                f"task.max_length is {max_length}, which leaves no room for text beside"
                f" {special} special token(s)"
            )

    def encode(self, texts: Sequence[str], others: Sequence[str] | None = None) -> Iterator[Inputs]:
        """Inputs of texts, or of pairs of a text and another, in order."""
        if self.joiner is not None and others is not None:
            return self._joined(texts, others, self.joiner)
        return self._by_tokenizer(texts, others)

    def _by_tokenizer(self, texts: Sequence[str], others: Sequence[str] | None) -> Iterator[Inputs]:
        columns = [list(texts)] if others is None else [list(texts), list(others)]
        whole = self.tokenizer(*columns, verbose=False)
        lengths = [len(ids) for ids in whole["input_ids"]]
        long = [i for i, length in enumerate(lengths) if length > self.max_length]
        cut: Any = {}
        if long:
            cut = self.tokenizer(
                *([column[i] for i in long] for column in columns),
                truncation="longest_first", max_length=self.max_length,
            )  # fmt: skip
            self.tokenizer("")  # the backend keeps truncating, and would be saved so
        at = {row: i for i, row in enumerate(long)}
        names = self._names(whole)
        for i, length in enumerate(lengths):
            source, row = (cut, at[i]) if i in at else (whole, i)
            yield Inputs({name: source[name][row] for name in names}, length)

    def _joined(self, texts: Sequence[str], others: Sequence[str], joiner: int) -> Iterator[Inputs]:
        first = self.tokenizer(list(texts), verbose=False)
        second = self.tokenizer(list(others), add_special_tokens=False, verbose=False)
        names = self._names(first)
        for i, (one, two) in enumerate(zip(first["input_ids"], second["input_ids"], strict=True)):
            n, m = longest_first(len(one), len(two), self.max_length - 1)
            values = {
                name: [
                    *first[name][i][:n],
                    joiner if name == "input_ids" else 0,
                    *second[name][i][:m],
                ]
                for name in names
            }
            yield Inputs(values, len(one) + 1 + len(two))

    def _names(self, encoded: Any) -> list[str]:
        """What the model reads, but for the attention mask, which is made of the lengths."""
        return [
            name
            for name in self.tokenizer.model_input_names
            if name in encoded and name != "attention_mask"
        ]


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How much of two texts is kept when `room` tokens are: the longer one is cut first.

    Source: the strategy `longest_first` of the tokenizers library; where both are cut and the
    room is odd, the longer one keeps one more.
    """
    if first + second <= room:
        return first, second
    short, long = sorted((first, second))
    if short + short > room:
        short, long = room // 2, room - room // 2
    else:
        long = room - short
    return (short, long) if first <= second else (long, short)


def _joiner(tokenizer: PreTrainedTokenizerBase) -> int:
    for token in (tokenizer.sep_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise ModelError(
        "the tokenizer has no token that could stand between two texts",
        hint="set sep_token or eos_token in its tokenizer_config.json",
    )


def fits(n_tokens: int, max_length: int, origin: str, tools: Tools) -> bool:
    """Whether the row is kept, as `on_overflow` says; the counts are told.

    Raises:
        DataError: too long, and that is to be an error.
    """
    counts = tools.counts
    counts.rows += 1
    counts.longest = max(counts.longest, n_tokens)
    if n_tokens <= max_length:
        return True
    if tools.on_overflow == "error":
        raise DataError(
            f"{origin}: has {n_tokens} tokens, the limit is {max_length}",
            hint="data.on_overflow: truncate or drop go on",
        )
    if tools.on_overflow == "drop":
        counts.dropped += 1
        return False
    counts.truncated += 1
    counts.cut_tokens += n_tokens - max_length
    return True
