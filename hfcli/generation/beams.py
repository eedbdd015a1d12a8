"""Beam search, by transformers' own generate(): one prompt, one text, written at its end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hfcli.foreign import forward_errors
from hfcli.generation.request import Finished, Request
from hfcli.generation.stream import TextStream
from hfcli.models.load import LoadedModel

if TYPE_CHECKING:
    from transformers import GenerationConfig


def beam_search(
    loaded: LoadedModel,
    request: Request,
    config: GenerationConfig,
    on_text: Callable[[str], None],
) -> Finished:
    """The likeliest text that the beams find; which one wins is known at the end only."""
    import torch
    from transformers import set_seed

    config = copy.deepcopy(config)
    config.max_new_tokens = request.max_new_tokens
    inputs = torch.tensor([request.ids], device=loaded.model.device)
    set_seed(request.seed)
    model: Any = loaded.model
    with forward_errors(model), torch.inference_mode():
        output = model.generate(
            input_ids=inputs, attention_mask=torch.ones_like(inputs), generation_config=config
        )
    new = output[0, len(request.ids) :].tolist()
    stream = TextStream(loaded.tokenizer, on_text)
    stream.ids = new
    text = stream.end()
    reason = "stop" if new and new[-1] in request.eos else "length"
    return Finished(request, tuple(new), text, reason)
