"""Facts about data and a model -> numbers to start with, each with its reason.

They are where to start, not results. Knows nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hfcli.errors import DataError
from hfcli.tasks.base import Task

Entry = tuple[str, Any, str]  # key, value, comment

LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)  # tokens
TOKENS_A_STEP = 2048  # 6 x 124M x 2,048 = 1.5 TFLOP for GPT-2: seconds on a CPU
UNKNOWN_CONTEXT = 512  # what BERT and its kin take; GPT-2 and later models take more
# Up to this width (hidden size), this learning rate: that of the shipped recipes for the bundled
# model; one of the rates BERT's authors list for its small models; Trainer's default; and less
# for models of a billion parameters and more.
RATES = ((256, 5e-4), (512, 1e-4), (1024, 5e-5), (2**31, 2e-5))
UNKNOWN_RATE = 5e-5
MARKS = 8  # tokens that a task may set around and between the parts of a row, and EOS
UNEVEN = 3  # the commonest label has more than so many times the rows of the rarest


@dataclass(frozen=True)
class DataFacts:
    """What was seen in the data.

    Args:
        task: the task that reads it.
        keys: key of the task -> column.
        files: split -> files or globs as the user named them; `train` is there.
        rows: of the training files, as far as they were read.
        complete: whether they were read to the end.
        texts: what a model reads of a sample of the rows.
        mean_lengths: column that a model reads -> characters a row on average.
        labels: label -> rows, the commonest first; None when there are no labels.
        unused: the other columns.
        column_names: for files that have no header line.
        several_labels: a row may have any number of the labels.
        options: keys of the data section that say how the files are read.
        is_plain_text: the files are txt files, each one text.
    """

    task: type[Task]
    keys: Mapping[str, str | list[str]]
    files: Mapping[str, Sequence[str]]
    rows: int
    complete: bool
    texts: Sequence[str]
    mean_lengths: Mapping[str, float]
    labels: Mapping[str, int] | None
    unused: Sequence[str]
    column_names: Sequence[str] | None
    is_plain_text: bool
    several_labels: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_rows(self) -> bool:
        """Return whether a row is one example, instead of a text of any length."""
        return list(self.keys) != ["text_column"]

    @property
    def one_label(self) -> Mapping[str, int]:
        """Return the rows of each label where a row has exactly one; else an empty mapping."""
        return {} if self.several_labels else self.labels or {}


@dataclass(frozen=True)
class ModelFacts:
    """What a model's files say.

    Args:
        name: what the user called it.
        is_local: whether the name is a path.
        context: longest input in tokens, or None when that is not known.
        width: hidden size, or None when that is not known.
        tokenizer: whose tokens are counted.
        count_tokens: texts -> tokens of each.
    """

    name: str
    is_local: bool
    context: int | None
    width: int | None
    tokenizer: str
    count_tokens: Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True)
class TokenFacts:
    """How long the rows of a sample are in tokens, and about how many tokens all rows have.

    Args:
        median, longest: tokens of a row.
        most: 99 of 100 rows are at most this long.
        total: of all rows.
    """

    median: int
    most: int
    longest: int
    total: int


@dataclass(frozen=True)
class HeldOut:
    """How validation data comes about.

    Args:
        entries: for the data section.
        training_share: what is left of the training files' rows.
    """

    entries: list[Entry]
    training_share: float = 1.0


def held_out(data: DataFacts) -> HeldOut:
    """Return the part of the training data to hold out where there is no validation file.

    Raises:
        DataError: too few rows to hold any out.
    """
    if "validation" in data.files:
        return HeldOut([])
    if not data.has_rows and data.rows < 100:
        how = ("validation_from", "end", "the last tenth of every text")
        return HeldOut([("validation_size", 0.1, ""), how], 0.9)
    least = len(data.one_label or "1")  # rows that each side must have
    sizes = (0.2, 0.3, 0.5) if data.rows < 2000 else (0.1, 0.2, 0.3, 0.5)
    for size in sizes:
        if round(data.rows * size) >= 1 and least <= data.rows * size <= data.rows - least:
            rows = math.ceil(data.rows * size)
            how_chosen = "by label and by the seed" if data.one_label else "chosen by the seed"
            entry = ("validation_size", size, f"{rows:,} rows held out, {how_chosen}")
            return HeldOut([entry], 1 - size)
    raise DataError(
        f"{data.rows} row(s) are too few to train on some and hold others out",
        hint="add rows, or give a validation file (--data dev.csv)",
    )


def for_labels(
    labels: Mapping[str, int],
    rows: int,
    tokens: TokenFacts,
    model: ModelFacts,
    *,
    several: bool = False,
) -> tuple[Entry, list[Entry]]:
    """Return the length of an input, and training settings.

    Args:
        labels: label -> rows.
        rows: to train on.
        several: a row may have any number of labels.
    """
    length = _length_for(tokens.longest)
    if length > 2 * _length_for(tokens.most):  # a few are much longer than all others
        length = _length_for(tokens.most)
    length = min(length, model.context or UNKNOWN_CONTEXT)
    fits = length >= tokens.longest
    largest = 32 if rows >= 10_000 else 16
    sizes = (size for size in (32, 16, 8) if size <= largest and size * length <= 4 * TOKENS_A_STEP)
    batch = next((size for size in sizes if rows >= 20 * size), 4)
    epochs = 6 if rows < 1000 else 3 if rows < 20_000 else 2
    even = max(labels.values()) <= UNEVEN * min(labels.values())
    why = "the labels are about even" if even else "counts every label alike, rare ones too"
    metric = "accuracy" if even else "f1_macro"
    if several:
        metric, why = "multilabel_f1_macro", "counts every label alike, rare ones too"
    return ("max_length", length, "nothing is cut" if fits else "longer texts are cut"), [
        ("num_train_epochs", epochs, f"{math.ceil(rows / batch):,} steps each"),
        ("per_device_train_batch_size", batch, ""),
        ("load_best_model_at_end", True, "the best by the metric below, not the last"),
        ("metric_for_best_model", metric, why),
    ]


def for_texts(
    rows: int | None, total: int, tokens: TokenFacts, model: ModelFacts
) -> tuple[Entry, list[Entry]]:
    """Return the length of a block, and training settings.

    Args:
        rows: to train on, where a row must fit into a block; None where texts are cut.
        total: tokens to train on.
    """
    longest = tokens.longest + MARKS
    if rows is not None:
        block, about = _length_for(max(longest, 64)), "the longest row fits"
    else:
        block = next((size for size in (256, 128, 64) if total >= 32 * size), 32)
        about = "texts follow each other, cut into blocks"
    block = min(block, model.context or UNKNOWN_CONTEXT)
    if rows is not None and block < longest:
        about = "longer rows do not fit"
    inputs = total // block if rows is None else rows
    sizes = (size for size in (8, 4, 2) if size * block <= TOKENS_A_STEP)
    batch = next((size for size in sizes if inputs >= 10 * size), 1)
    epochs = 6 if total < 200_000 else 3 if total < 5_000_000 else 1
    return ("block_size", block, about), [
        ("num_train_epochs", epochs, f"about {total:,} tokens each"),
        ("per_device_train_batch_size", batch, f"up to {batch * block:,} tokens a step"),
        ("load_best_model_at_end", True, "the best by the metric below, not the last"),
        ("metric_for_best_model", "perplexity", ""),
    ]


def for_model(model: ModelFacts) -> list[Entry]:
    """Return the learning rate, warmup and weight decay."""
    if model.width is None:
        rate, why = UNKNOWN_RATE, "Trainer's default; the model was not at hand to look at"
    else:
        rate = next(rate for width, rate in RATES if model.width <= width)
        why = f"for a model {model.width:,} wide; wider ones want less"
    return [
        ("learning_rate", rate, why),
        ("warmup_steps", 0.1, "below 1 it is a share of the run"),
        ("weight_decay", 0.01, ""),
    ]


def _length_for(tokens: int) -> int:
    return next((length for length in LENGTHS if length >= tokens), LENGTHS[-1])
