"""Log-probabilities of a finished text, computed for that text alone.

A pass of their own, so that they are the same to the last digit in every batch. They are the
model's own, in nats, before temperature and filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hfcli.tasks.logits import log_softmax, nan_logits

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DIGITS = 5  # after the point; float32 holds about that much of a sum over a vocabulary


def token_logprobs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Sequence[int],
    new: Sequence[int],
    alternatives: int,
) -> list[dict[str, Any]]:
    """One dict a new token: token, id, logprob, top (the likeliest `alternatives`).

    Raises:
        NanLogitsError: the model's arithmetic has broken down.
    """
    import torch

    inputs = torch.tensor([[*prompt, *new[:-1]]], device=model.device)
    lm: Any = model
    logits = lm(input_ids=inputs, use_cache=False).logits[0, len(prompt) - 1 :].float()
    values = log_softmax(logits)
    if bool(values.isnan().any()):
        raise nan_logits()
    top = values.topk(min(max(alternatives, 1), values.shape[-1]), dim=-1)
    told = []
    for i, token in enumerate(new):
        entry = _entry(tokenizer, token, float(values[i, token]))
        pairs = zip(top.indices[i].tolist(), top.values[i].tolist(), strict=True)
        entry["top"] = [_entry(tokenizer, *pair) for pair in pairs][:alternatives]
        told.append(entry)
    return told


def _entry(tokenizer: PreTrainedTokenizerBase, token: int, value: float) -> dict[str, Any]:
    return {"token": tokenizer.decode([token]), "id": token, "logprob": round(value, DIGITS)}
