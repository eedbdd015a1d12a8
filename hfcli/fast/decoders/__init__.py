"""The forward pass of some architectures in fewer operations than their modules take.

transformers' modules serve training, many devices and many kinds of attention, which every token
pays for. Here each architecture is one file over the very weights of the model, for writing text
and scoring on a CPU. A model that is not exactly what its file knows (other layers, adapters,
hooks, another attention) keeps its modules.

A file of an architecture has the name of its `model_type`, and a subclass of `Forward` of that
very name with `of(model)`, which gives None for what it does not know. Knows nothing about caches.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.fast.linear import linear

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

# (layer, queries, keys, values, scale) -> what every query has read.
# Queries (rows, tokens, heads, width); keys and values may have fewer heads.
Attend = Callable[[int, "Tensor", "Tensor", "Tensor", float], "Tensor"]
ARCHITECTURES = {"gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM"}


class Forward(ABC):
    """Tokens -> logits, by the model's own weights, which may be packed.

    Args:
        model: what `of` has found to be known.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    @classmethod
    @abstractmethod
    def of(cls, model: Any) -> Forward | None:
        """None where the model has other parts."""

    def __call__(
        self, inputs: Tensor, positions: Tensor, attend: Attend, kept: Tensor | None = None
    ) -> Tensor:
        """(rows, tokens, vocabulary) logits, or (rows, 1, vocabulary) where one token is kept.

        Args:
            inputs: (rows, tokens) ids.
            positions: (rows, tokens) or (1, tokens) places of the tokens in their texts.
            attend: keeps keys and values, and reads.
            kept: (rows,) the token of each row that gets logits; None: all do.
        """
        return self.logits(self.hidden(inputs, positions, attend, kept))

    @abstractmethod
    def hidden(
        self, inputs: Tensor, positions: Tensor, attend: Attend, kept: Tensor | None = None
    ) -> Tensor:
        """(rows, tokens kept, width): the same without the head."""

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., vocabulary) logits of hidden states (..., width)."""
        return linear(self.model.lm_head, hidden)


def short_forward(
    model: PreTrainedModel, architectures: Mapping[str, str] = ARCHITECTURES
) -> Forward | None:
    """The forward pass of the model's architecture; None where its modules have to be used."""
    kind = getattr(model.config, "model_type", None)
    if architectures.get(kind or "") != type(model).__name__ or not _is_plain(model):
        return None
    found: Forward | None = import_module(f"{__name__}.{kind}").Forward.of(model)
    return found


def is_known(folder: Path) -> bool:
    """Whether a folder's model has an architecture of this package, by its config.json.

    A model that is loaded may still have other parts; see `short_forward`.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") in ARCHITECTURES


def heads_of(model: Any) -> list[Any]:
    """The layer that gives logits over a vocabulary, where there is one."""
    return [model.lm_head] if hasattr(model, "lm_head") else []


def chosen(x: Tensor, kept: Tensor | None) -> Tensor:
    """The states of the tokens that get logits; see `Forward`."""
    import torch

    if kept is None:
        return x
    return x[torch.arange(len(x)), kept][:, None]


def _is_plain(model: Any) -> bool:
    """Whether nothing but the modules of its class decides what a model computes."""
    if not type(model).__module__.startswith("transformers.models.") or model.training:
        return False
    if model.device.type != "cpu" or model.config._attn_implementation != "sdpa":
        return False
    if getattr(model, "hf_quantizer", None) or getattr(model, "hf_device_map", None):
        return False
    return not any(
        m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in model.modules()
    )
