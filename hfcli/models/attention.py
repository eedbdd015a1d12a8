"""What a model remembers of what it has read, where that decides how it may be run."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from hfcli.compat.transformers import is_stateful

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WINDOWS = ("window", "local", "chunk")  # in the name of a setting that limits how far one looks


def windows_of(config: Any) -> list[int]:
    """Return the sizes in tokens of every window that a configuration may mean.

    Names decide, so that some are no windows: callers only try longer texts for them.
    """
    parts = {id(part): part for part in (config, config.get_text_config())}.values()
    return [
        value
        for part in parts
        for name, value in vars(part).items()
        if any(word in name for word in WINDOWS) and type(value) is int and value > 1
    ]


def plain_attention(model: PreTrainedModel, longest: int) -> bool:
    """Whether every token looks at whatever the mask allows, at the position it is given.

    Not so with sliding windows, state spaces, ALiBi, encoders.

    Args:
        longest: tokens of the longest text; a window that holds it counts as none.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    forward: Any = model.forward
    if "position_ids" not in inspect.signature(forward).parameters:
        return False
    if is_stateful(model) or model.config.is_encoder_decoder:
        return False
    if getattr(model.config, "alibi", False):  # Falcon's; it is made from a mask of two dimensions
        return False
    for layer in DynamicCache(config=model.config).layers:
        short = isinstance(layer, DynamicSlidingWindowLayer) and layer.sliding_window >= longest
        if type(layer) is not DynamicLayer and not short:
            return False
    return True
