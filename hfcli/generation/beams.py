"""Beam search, by transformers' own generate(): one prompt, its likeliest texts, at the end."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hfcli.device import needs_memory
from hfcli.errors import RunError
from hfcli.foreign import forward_errors
from hfcli.generation.admission import memory_of_beams
from hfcli.generation.request import Finished, Request
from hfcli.generation.row import Row
from hfcli.models.load import ReadableModel
from hfcli.tasks.logits import nan_logits

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GenerationConfig, PreTrainedModel

GB = 1_000_000_000


def beam_search(
    loaded: ReadableModel,
    requests: Sequence[Request],
    config: GenerationConfig,
    on_text: Callable[[str], None] | None,
) -> list[Finished]:
    """Return the likeliest texts that the beams find; which ones win is known at the end only.

    Args:
        loaded: the model.
        requests: of one prompt, at most as many as there are beams.
        config: with `num_beams`.
        on_text: gets the text of a single request.

    Raises:
        RunError: memory ran out, or the logits are not numbers.
    """
    import torch
    from transformers import set_seed

    first = requests[0]
    config = copy.deepcopy(config)
    config.max_new_tokens = first.max_new_tokens
    config.num_return_sequences = len(requests)
    config.stop_strings = list(first.stops) or None
    _check_memory(loaded.model, config.num_beams, len(first.ids) + first.max_new_tokens)
    inputs = torch.tensor([first.ids], device=loaded.model.device)
    set_seed(first.seed)
    model: Any = loaded.model
    enough = needs_memory(
        f"beam search with {config.num_beams:,} beams", hint="a smaller --num-beams, a shorter text"
    )
    with enough, forward_errors(model), torch.inference_mode():
        output = model.generate(
            input_ids=inputs,
            attention_mask=torch.ones_like(inputs),
            generation_config=config,
            tokenizer=loaded.tokenizer if first.stops else None,
        )
        _check(model, output[:1])
    texts = output[:, len(first.ids) :].tolist()
    return [
        _finished(request, ids, loaded, on_text)
        for request, ids in zip(requests, texts, strict=True)
    ]


def _check_memory(model: PreTrainedModel, beams: int, tokens: int) -> None:
    """Refuse what does not fit: a CPU refuses no memory, and the system ends the process instead.

    Raises:
        RunError: the beams need more than is free.
    """
    needed, free = memory_of_beams(model, beams, tokens)
    if free is not None and needed > free:
        raise RunError(
            f"beam search with {beams:,} beams needs about {needed / GB:,.1f} GB,"
            f" {free / GB:,.1f} GB are free",
            hint="a smaller --num-beams, a shorter text",
        )


def _check(model: Any, ids: Tensor) -> None:
    """Refuse a text of logits that are not numbers, which beam search goes on with.

    Raises:
        RunError: they are NaN, or all infinite.
    """
    largest = model(input_ids=ids, use_cache=False).logits.max(-1).values
    if not bool(largest.isfinite().all()):
        raise nan_logits()


def _finished(
    request: Request,
    ids: Sequence[int],
    loaded: ReadableModel,
    on_text: Callable[[str], None] | None,
) -> Finished:
    """Return the text of a beam's tokens, which padding may follow."""
    row = Row(request, loaded.tokenizer, on_text)
    for token in ids:
        row.take(token)
        if row.finish_reason:
            break
    if row.finish_reason is None:
        row.stream.end()
    return row.finished()
