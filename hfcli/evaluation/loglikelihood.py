"""A prompt and several choices -> the log-likelihood of each choice after the prompt.

The prompt is read once for all choices of a row: they stand behind it in one sequence, each at
the positions that follow the prompt, and a mask keeps them apart. Models that do not take such a
mask read every choice by itself. Knows nothing about files or scores.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfcli.errors import DataError, ModelError
from hfcli.foreign import forward_errors
from hfcli.models.attention import plain_attention, windows_of
from hfcli.tasks.documents import prefix
from hfcli.tasks.logits import check_scores, token_losses
from hfcli.tasks.prepared import pad_right

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Of the largest cost of a choice: one that sees another differs by tenths, rounding by millionths.
LEAK = {"torch.float32": 1e-4, "torch.float64": 1e-6}
LEAK_OF_SHORT_TYPES = 2e-3  # the same in 16 bits
TRIED = 3  # tokens of each choice of a trial
LONGEST = 1024  # tokens of a window that can be tried, at most


@dataclass(frozen=True)
class Pick:
    """A row as tokens.

    Args:
        context: of the prompt, at least one.
        choices: of each choice, at least one.
    """

    context: Sequence[int]
    choices: Sequence[Sequence[int]]

    @property
    def longest(self) -> int:
        """Positions that the model needs: the last token of a choice is never read."""
        return len(self.context) + max(map(len, self.choices)) - 1

    @property
    def read(self) -> int:
        """Tokens that are read where the prompt is read once."""
        return len(self.context) + sum(len(choice) - 1 for choice in self.choices)

    @property
    def read_apart(self) -> int:
        """Tokens that are read where each choice is by itself, padding included."""
        return len(self.choices) * self.longest

    def apart(self) -> Iterator[Pick]:
        """Every choice by itself."""
        return (Pick(self.context, [choice]) for choice in self.choices)


def encode_pick(
    tokenizer: PreTrainedTokenizerBase, prompt: str, continuations: Sequence[str]
) -> Pick:
    """Tokens of a prompt and of what may follow it, divided as lm-evaluation-harness does.

    White space at the end of the prompt goes to the continuation; both are tokenized together,
    and the tokens after as many as the prompt alone has are those of the continuation. The prompt
    stands after what the tokenizer begins texts with (BOS, of some models); an empty one after
    BOS, or EOS where there is no BOS.

    Raises:
        DataError: a continuation adds no token.
    """
    kept = prompt.rstrip()
    space = prompt[len(kept) :]
    texts = [kept, *(kept + space + continuation for continuation in continuations)]
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    context, *wholes = ids
    choices = [whole[len(context) :] for whole in wholes]
    for continuation, choice in zip(continuations, choices, strict=True):
        if not choice:
            raise DataError(f"the choice {continuation!r} has no token of its own")
    context = [*_begin(tokenizer), *context] or prefix(tokenizer)
    if not context:
        raise DataError("the prompt is empty, and the tokenizer has neither BOS nor EOS")
    return Pick(context, choices)


def _begin(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the tokenizer puts before a text by itself."""
    given, bare = ([*tokenizer("a", add_special_tokens=add)["input_ids"]] for add in (True, False))
    return given[: given.index(bare[0])]


def nll_of(model: PreTrainedModel, picks: Sequence[Pick], *, share: bool) -> list[list[float]]:
    """-ln p of every choice of every pick, in nats, summed over its tokens.

    Args:
        model: in eval mode.
        picks: a batch.
        share: read each prompt once; see `can_share`.

    Raises:
        RunError: the model produced NaN.
    """
    import torch

    with forward_errors(model), torch.inference_mode():
        if share:
            found = _nll(model, picks, shared=True)
        else:
            flat = [one for pick in picks for one in pick.apart()]
            costs = iter(_nll(model, flat, shared=False))
            found = [[next(costs)[0] for _ in pick.choices] for pick in picks]
    check_scores((row, "") for row in found)
    return found


def can_share(model: PreTrainedModel, longest: int, columns: int = 0) -> bool:
    """Whether the model keeps choices apart that stand behind one prompt; tried on small ones.

    Some models count the columns of a window instead of positions, so that what is tried has more
    columns than any window, and a longer prompt where prompts are longer.

    Args:
        model: in eval mode.
        longest: positions that any choice needs.
        columns: tokens that are read of any row where its prompt is read once.
    """
    if not plain_attention(model, longest):
        return False
    short = [w for w in windows_of(model.config) if w < max(longest, columns)]
    window = max(short, default=0)
    if window > LONGEST:
        return False
    trials = [_trial(model, TRIED, window)]
    if short and min(short) + TRIED < longest:  # a prompt that its choices cannot see whole
        trials.append(_trial(model, min(window, longest - TRIED), window))
    try:
        together = nll_of(model, trials, share=True)
    except ModelError:  # it does not take such a mask
        return False
    pairs = zip(together, nll_of(model, trials, share=False), strict=True)
    leak = LEAK.get(str(model.dtype), LEAK_OF_SHORT_TYPES)
    return all(
        max(abs(a - b) for a, b in zip(row, apart, strict=True)) < leak * max(apart)
        for row, apart in pairs
    )


def _trial(model: PreTrainedModel, prompt: int, window: int) -> Pick:
    """A prompt of so many tokens with choices that fill more columns than a window has."""
    size = int(model.config.get_text_config().vocab_size)
    count = 2 + window // (TRIED - 1)
    tokens = [i * 7 % size for i in range(prompt + TRIED * count)]
    starts = range(prompt, len(tokens), TRIED)
    return Pick(tokens[:prompt], [tokens[i : i + TRIED] for i in starts])


def _nll(model: PreTrainedModel, picks: Sequence[Pick], *, shared: bool) -> list[list[float]]:
    import torch

    rows = [_laid_out(pick) for pick in picks]
    ids = pad_right([row.ids for row in rows], 0)  # on the right, where nothing that counts looks
    options = _kept_apart(rows, model.dtype) if shared else _plain(rows)
    # The head is computed where it is needed: of a long prompt, for its last token only.
    kept = sorted({column for row in rows for column in row.predicted_from})
    network: Any = model
    if "logits_to_keep" in inspect.signature(network.forward).parameters:
        options["logits_to_keep"] = torch.tensor(kept)
    else:
        kept = list(range(ids.shape[1]))
    inputs = {name: value.to(model.device) for name, value in options.items()}
    logits = network(input_ids=ids.to(model.device), use_cache=False, **inputs).logits
    at = {column: i for i, column in enumerate(kept)}
    return [_costs(logits[i], row, at) for i, row in enumerate(rows)]


@dataclass(frozen=True)
class _Row:
    """A pick as one sequence: the prompt, then of every choice all tokens but the last.

    Args:
        groups: of each token, 0 for the prompt and the number of its choice from 1.
        predicted_from: of each token of the choices, the column whose logits predict it.
        targets: those tokens.
        sizes: how many of them each choice has.
    """

    ids: list[int]
    positions: list[int]
    groups: list[int]
    predicted_from: list[int]
    targets: list[int]
    sizes: list[int]


def _laid_out(pick: Pick) -> _Row:
    n = len(pick.context)
    row = _Row([*pick.context], [*range(n)], [0] * n, [], [], [])
    for number, choice in enumerate(pick.choices, 1):
        start, more = len(row.ids), len(choice) - 1
        row.ids.extend(choice[:-1])
        row.positions.extend(range(n, n + more))
        row.groups.extend([number] * more)
        row.predicted_from.extend([n - 1, *range(start, start + more)])
        row.targets.extend(choice)
        row.sizes.append(len(choice))
    return row


def _plain(rows: Sequence[_Row]) -> dict[str, Tensor]:
    """What a model is told of rows of one choice."""
    import torch

    lengths = torch.tensor([len(row.ids) for row in rows])
    return {"attention_mask": (torch.arange(int(lengths.max())) < lengths[:, None]).long()}


def _kept_apart(rows: Sequence[_Row], dtype: torch.dtype) -> dict[str, Tensor]:
    """The same of rows of several: positions, and a (rows, 1, columns, columns) mask that is added
    to attention scores. A token sees what stands before it in the prompt and in its own choice.
    """
    import torch

    groups = pad_right([row.groups for row in rows], -1)
    own = (groups[:, None, :] == 0) | (groups[:, None, :] == groups[:, :, None])
    seen = own & torch.ones(own.shape[1:], dtype=torch.bool).tril()
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
    positions = pad_right([row.positions for row in rows], 0)
    return {"attention_mask": mask[:, None], "position_ids": positions}


def _costs(logits: Tensor, row: _Row, at: dict[int, int]) -> list[float]:
    import torch

    columns = torch.tensor([at[column] for column in row.predicted_from], device=logits.device)
    targets = torch.tensor(row.targets, device=logits.device)
    nll = token_losses(logits[columns], targets)
    return [float(part.double().sum()) for part in torch.split(nll, row.sizes)]
