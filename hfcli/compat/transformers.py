"""What transformers (5.4 to 5.24) knows of a model, and does not say by a public name."""

from __future__ import annotations

import inspect
from typing import Any

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}  # config.layer_types


def attention_kind(config: Any) -> str | None:
    """Return the attention that a model was loaded with, such as "sdpa".

    Args:
        config: of a model.

    Returns:
        None where this version does not say: to callers, attention that they do not know.
    """
    return getattr(config, "_attn_implementation", None)


def is_stateful(model: Any) -> bool:
    """Return whether a model remembers what it has read by anything but keys and values.

    Where this version does not say, its configuration and the arguments of its forward pass do.
    """
    mark = getattr(model, "_is_stateful", None)
    if mark is not None:
        return bool(mark)
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or ATTENTION
    # Since 5.24 Mamba's state is called `cache`, too: it has no attention heads.
    takes = inspect.signature(model.forward).parameters.keys() & {"past_key_values", "cache"}
    return bool(set(kinds) - ATTENTION) or not (takes and hasattr(config, "num_attention_heads"))


def write_checkpoint(trainer: Any) -> bool:
    """Write the state of a run as it is, outside of the training loop, as one of its checkpoints.

    Returns:
        False where this version does not offer it: a run then goes on from its last checkpoint.
    """
    write = getattr(trainer, "_save_checkpoint", None)
    if write is None:
        return False
    write(trainer.model, None)
    return True
