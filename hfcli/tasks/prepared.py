"""What becomes of rows: the tools tasks encode with, the features they give, and the account of
every row. Knows nothing about files, models' insides or terminals.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ORIGIN = "__origin__"
MOST_LISTED = 1000  # rows that are skipped and listed; all are counted
FEW = 3  # of them in a sentence
IGNORE = -100  # transformers' label of a position that is not scored
MOST = 2**31 - 1  # of anything that is counted

Feature = dict[str, Any]
Overflow = Literal["truncate", "split", "drop", "error"]


@dataclass
class RowCounts:
    """What became of the rows of a split. Every row is kept, empty or dropped.

    Args:
        rows: rows read.
        empty: left out, since there was no text.
        dropped: left out, since too long (`on_overflow: drop`).
        unsupervised: left out, since cutting left nothing to learn from, or nothing to score.
        truncated: kept, but cut.
        split: kept, in several pieces.
        tokens: in the features, without padding.
        supervised: tokens (language modelling) or rows (classification) that are learned.
        cut_tokens: lost by cutting.
        longest: tokens of the longest row before cutting.
        labels: rows of each label, where the task has labels.
        skipped: rows that could not be used (`on_bad_row: skip`); they do not count in `rows`.
        skipped_rows: the first of them, as "file:line: why".
    """

    rows: int = 0
    empty: int = 0
    dropped: int = 0
    unsupervised: int = 0
    truncated: int = 0
    split: int = 0
    tokens: int = 0
    supervised: int = 0
    cut_tokens: int = 0
    longest: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    skipped_rows: list[str] = field(default_factory=list)

    def skip(self, why: str) -> None:
        """Count a row that is left out, and list it."""
        self.skipped += 1
        if self.skipped <= MOST_LISTED:
            self.skipped_rows.append(why)

    @property
    def lost(self) -> int:
        """Rows that were not empty and are left out all the same."""
        return self.dropped + self.unsupervised

    @property
    def kept(self) -> int:
        """Rows that are used, whole or in part."""
        return self.rows - self.empty - self.lost

    def to_dict(self) -> dict[str, Any]:
        """All counts, `kept` included."""
        counts = {name: value for name, value in vars(self).items() if name != "labels"}
        return {**counts, "kept": self.kept, "labels": dict(self.labels)}

    def sentences(self) -> list[str]:
        """What a user should know: only what happened."""
        of = f"of {self.rows:,} rows"
        first = "; ".join(self.skipped_rows[:FEW])
        more = self.skipped - len(self.skipped_rows[:FEW])
        told = {
            f"{self.skipped:,} row(s) were skipped (data.on_bad_row): {first}"
            + (f"; and {more:,} more" if more else ""): self.skipped,
            f"{self.empty:,} {of} were empty and left out": self.empty,
            f"{self.dropped:,} {of} were too long and left out": self.dropped,
            f"{self.unsupervised:,} {of} were left out: they held nothing to learn from, or score"
            " (too short, or cut)": self.unsupervised,
            f"{self.truncated:,} {of} were cut, {self.cut_tokens:,} tokens lost": self.truncated,
            f"{self.split:,} {of} were split into pieces": self.split,
        }
        return [sentence for sentence, count in told.items() if count]


@dataclass(frozen=True)
class Tools:
    """What a task encodes rows with.

    Args:
        tokenizer: of the model.
        model: for its configuration; its weights are not looked at.
        on_overflow: what to do with rows that are too long; None: the task's own default.
        skip_bad_rows: leave out rows that the chat template refuses.
        counts: filled while rows are encoded.
    """

    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel
    on_overflow: Overflow | None = None
    skip_bad_rows: bool = False
    counts: RowCounts = field(default_factory=RowCounts)


class Features(Sequence[Feature]):
    """Features that are read when they are asked for."""

    @abstractmethod
    def column(self, name: str) -> list[Any]:
        """One value a feature."""


@dataclass(frozen=True)
class Prepared:
    """Features ready for `collate`, and what became of the rows.

    Args:
        features: one dict a model input row.
        lengths: tokens of each.
        counts: the account of the rows.
        labels: label names in the order of their indices, where the task has labels.
    """

    features: Features
    lengths: Sequence[int]
    counts: RowCounts
    labels: list[str] | None = None

    def column(self, name: str) -> list[Any]:
        """One value a feature."""
        return self.features.column(name)


def context_length(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int:
    """Longest input in tokens: the smaller of the tokenizer's and the configuration's limit.

    Tokenizers without a limit hold a huge number. RoBERTa and its kin count positions from the
    one after their padding's, so that their configuration's number is two too many.
    """
    limits = [int(tokenizer.model_max_length)]
    for name in ("n_positions", "max_position_embeddings", "n_ctx", "max_seq_len"):
        value = getattr(model.config, name, None)
        if isinstance(value, int) and value > 0:
            limits.append(value)
    return min([*limits, *_tables(model)])


def _tables(model: PreTrainedModel) -> Iterator[int]:
    """Tokens that each table of learned positions has places for after that of padding."""
    modules: Any = getattr(model, "named_modules", tuple)  # other engines' models have none
    for name, module in modules():
        if name.rpartition(".")[2] == "position_embeddings":
            padding, weight = getattr(module, "padding_idx", None), getattr(module, "weight", None)
            if padding is not None and weight is not None:
                yield int(weight.shape[0]) - int(padding) - 1


def pad_right(rows: Sequence[Sequence[int]], value: int) -> Any:
    """A (rows, longest) int64 tensor of `rows`, filled up with `value`."""
    import torch

    longest = max(len(row) for row in rows)
    out = torch.full((len(rows), longest), value, dtype=torch.long)
    for i, row in enumerate(rows):
        out[i, : len(row)] = torch.as_tensor(row, dtype=torch.long)
    return out
