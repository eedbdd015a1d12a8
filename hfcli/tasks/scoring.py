"""A model over prepared rows -> scores. Training and evaluation share this loop, so that a
number in the training log is the number `hfcli eval` gives. Knows nothing about metrics.

Some encoders do not mask everything that they mix tokens by, such as ConvBERT's convolutions.
Whether padding changes what a model says of a row is tried on a row at hand; if it does, rows are
scored with rows of the same length only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hfcli.foreign import forward_errors
from hfcli.tasks.base import IGNORE, Feature, Prepared, Reduced, Scores, Task
from hfcli.tasks.logits import check_scores

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel

OnBatch = Callable[[Sequence[int], Reduced], None]
MOST = 24  # columns of padding that are tried
TOLERANCE = {"torch.float32": 1e-4, "torch.float64": 1e-6}  # of the largest logit, or of 1
SHORT_TYPES = 5e-2  # the same in 16 bits
_known: WeakKeyDictionary[Module, bool] = WeakKeyDictionary()


def score(
    *, task: Task, model: PreTrainedModel, prepared: Prepared, batch_size: int, pad_token_id: int
) -> Scores:
    """Run `model` over all features and sum up; see `reduce_all`."""
    reduced = reduce_all(
        task=task, model=model, prepared=prepared, batch_size=batch_size, pad_token_id=pad_token_id
    )
    return task.scores(prepared, reduced)


def reduce_all(
    *,
    task: Task,
    model: PreTrainedModel,
    prepared: Prepared,
    batch_size: int,
    pad_token_id: int,
    tokens_at_once: int | None = None,
    done: Mapping[int, tuple[float, ...]] | None = None,
    on_batch: OnBatch | None = None,
) -> Reduced:
    """Run `model` over all features in batches of similar length.

    Args:
        task: collates and reduces.
        model: left in the mode it was found in; no gradients.
        prepared: encoded for scoring.
        batch_size: most rows in a batch.
        pad_token_id: fills the shorter rows; it is masked.
        tokens_at_once: most tokens in a batch, padding included; None: what the task says.
        done: rows that an earlier run has reduced, by feature number.
        on_batch: called with the feature numbers and rows of every batch that was computed.

    Returns:
        The reduced row of every feature, in order.
    """
    import torch

    reduced: Reduced = [()] * len(prepared.features)
    for i, row in (done or {}).items():
        reduced[i] = row
    was_training = model.training
    model.eval()
    with forward_errors(model), torch.inference_mode():
        most = tokens_at_once or task.tokens_at_once
        alike = batch_size > 1 and not _may_pad(task, model, prepared, pad_token_id)
        for indices in batches(prepared.lengths, batch_size, most, alike=alike):
            # Batches are those of an uninterrupted run: their rounding is, too.
            if all(reduced[i] for i in indices):
                continue
            rows = reduce_batch(task, model, [prepared.features[i] for i in indices], pad_token_id)
            for i, row in zip(indices, rows, strict=True):
                reduced[i] = row
            if on_batch:
                on_batch(indices, rows)
    model.train(was_training)
    return reduced


def _may_pad(task: Task, model: PreTrainedModel, prepared: Prepared, pad_token_id: int) -> bool:
    """Whether rows of several lengths may share a batch; causal models see no padding behind."""
    lengths = prepared.lengths
    if task.generates or not lengths or min(lengths) == max(lengths):
        return True
    shortest = min(range(len(lengths)), key=lengths.__getitem__)
    row = task.collate([prepared.features[shortest]], pad_token_id)
    row = {name: value.to(model.device) for name, value in row.items() if name != "labels"}
    return takes_padding(model, row, max(lengths) - min(lengths), pad_token_id)


def reduce_batch(
    task: Task, model: PreTrainedModel, features: Sequence[Feature], pad_token_id: int
) -> Reduced:
    """The reduced rows of one batch.

    Raises:
        RunError: a row's logits are not numbers.
    """
    batch = task.collate(features, pad_token_id)
    batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
    labels = batch.pop("labels")
    columns = _scored_columns(model, labels)
    if columns is not None:
        batch["logits_to_keep"], labels = columns, labels[:, columns]
    logits = model(**batch).logits
    reduced = task.reduce(logits, labels)
    places = [str(feature.get("origin", "")) for feature in features]
    check_scores(zip(reduced, places, strict=False))
    if logits.ndim == 2:  # of labels, which a probability of 1 hides
        check_scores(zip((logits - logits).tolist(), places, strict=True))
    return reduced


def _scored_columns(model: PreTrainedModel, labels: Tensor) -> Tensor | None:
    """The columns in which any row has a label, where a model can leave the others' logits out.

    Of overlapping windows, the larger part of the tokens is context, and a vocabulary of logits
    costs a third of a small model.
    """
    if labels.ndim != 2 or "logits_to_keep" not in inspect.signature(model.forward).parameters:
        return None
    columns = (labels != IGNORE).any(0).nonzero()[:, 0]
    return columns if 0 < len(columns) < labels.shape[1] else None


def batches(
    lengths: Sequence[int], rows: int, tokens: int | None, *, alike: bool = False
) -> Iterator[list[int]]:
    """Feature numbers of every batch, the longest features first.

    What does not fit into memory fails at once, and little is padded.

    Args:
        lengths: tokens of each feature.
        rows: most rows of a batch.
        tokens: most tokens of a batch, padding included; None: any number.
        alike: whether the rows of a batch must have the same length.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        size = rows if tokens is None else max(1, min(rows, tokens // longest))
        if alike:
            size = sum(lengths[i] == lengths[order[start]] for i in order[start : start + size])
        yield order[start : start + size]
        start += size


def takes_padding(model: Any, row: dict[str, Tensor], more: int, pad_token_id: int) -> bool:
    """Return whether a model's logits are the same with columns of padding behind a row.

    Args:
        model: in eval mode; it is tried once.
        row: what the model reads of one row, (1, tokens) each, with its attention mask.
        more: columns of padding that the row gets in a batch.
        pad_token_id: fills input_ids.
    """
    if model not in _known:
        _known[model] = _is_same(model, row, min(more, MOST), pad_token_id)
    return _known[model]


def _is_same(model: Any, row: dict[str, Tensor], more: int, pad_token_id: int) -> bool:
    from torch.nn.functional import pad

    shape = row["input_ids"].shape
    padded = {
        name: pad(value, (0, more), value=pad_token_id if name == "input_ids" else 0)
        if value.shape == shape
        else value
        for name, value in row.items()
    }
    expected, found = (model(**inputs).logits.float() for inputs in (row, padded))
    if expected.ndim == 3:  # logits of every token: those of the padding count for nothing
        found = found[:, : expected.shape[1]]
    limit = TOLERANCE.get(str(model.dtype), SHORT_TYPES) * max(1.0, float(expected.abs().max()))
    return not float((found - expected).abs().max()) > limit  # NaN is reported where it is met
