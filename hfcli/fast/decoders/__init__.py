"""Fused decoders: the forward pass of some architectures in fewer operations than their modules.

transformers' modules serve training, many devices and many kinds of attention, which every token
pays for. Here each architecture is one file over the very weights of the model, for writing text
and scoring on a CPU. A model that is not exactly what its file knows (other layers, adapters,
hooks, another attention) keeps its modules, and so does one whose logits the decoder changes.

A file of an architecture has the name of its `model_type`, and a subclass of `Decoder` of that
very name with `of(model)`, which gives None for what it does not know. Knows nothing about caches.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.fast.linear import linear
from hfcli.fast.protocol import SpeedUp, Versions, difference, only_on_cpu

if TYPE_CHECKING:
    from torch import Tensor

# (layer, queries, keys, values, scale) -> what every query has read.
# Queries (rows, tokens, heads, width); keys and values may have fewer heads.
Attend = Callable[[int, "Tensor", "Tensor", "Tensor", float], "Tensor"]
# By model type, the classes that are known.
ARCHITECTURES = {
    "gpt2": ("GPT2LMHeadModel", "GPT2ForSequenceClassification"),
    "llama": ("LlamaForCausalLM", "LlamaForSequenceClassification"),
}
TEST_LENGTHS = (9, 5)  # of the texts of the self-test, in tokens


class FusedDecoder(SpeedUp):
    """See the module."""

    name = "fused-decoder"
    aliases = ("forward",)
    help = "compute GPT-2 and Llama models in fewer operations than their modules take"
    scope = f"for models of the types {' and '.join(ARCHITECTURES)}"
    tolerance, tolerance_16_bits = 1e-4, 5e-2

    def supports(self, versions: Versions, device: str) -> str | None:
        """See `SpeedUp.supports`."""
        return only_on_cpu(device)

    def prepare(self, model: Any) -> tuple[Decoder | None, str | None]:
        """Return the decoder of a model, or why one that is known is not used.

        Args:
            model: in inference mode, not packed yet; it is left as it is.
        """
        built: list[Decoder | None] = []
        reason = self.refusal("cpu") or self.failure(lambda: _built(model, built))
        decoder = None if reason else built[0]
        if decoder is None:
            return None, reason
        reason = self.failure_on(model, lambda: self.differs_by(model, decoder))
        return (decoder, None) if reason is None else (None, reason)

    def differs_by(self, model: Any, decoder: Decoder) -> float:
        """Return how far the hidden states of two texts are from those of the modules."""
        import torch

        from hfcli.fast.decoders.whole_texts import read

        random = torch.Generator().manual_seed(0)
        longest = min(TEST_LENGTHS[0], int(model.config.max_position_embeddings))
        ids = torch.randint(int(model.config.vocab_size), (2, longest), generator=random)
        mask = torch.ones_like(ids)
        mask[1, TEST_LENGTHS[1] :] = 0
        inside = mask.bool()
        with torch.inference_mode():
            expected = model.base_model(input_ids=ids, attention_mask=mask)[0][inside]
            found = difference(read(decoder, ids)[inside], expected)
        return self.in_float32(found, model.dtype)


class Decoder(ABC):
    """Tokens -> logits, by the model's own weights, which may be packed.

    Args:
        model: what `of` has found to be known.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    @classmethod
    @abstractmethod
    def of(cls, model: Any) -> Decoder | None:
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


def build_decoder(model: Any) -> Decoder | None:
    """Return the decoder of a model's architecture, not tested; None where modules are needed."""
    kind = getattr(getattr(model, "config", None), "model_type", "")
    if type(model).__name__ not in ARCHITECTURES.get(kind, ()) or not _is_unchanged(model):
        return None
    found: Decoder | None = import_module(f"{__name__}.{kind}").Decoder.of(model)
    return found


def _built(model: Any, built: list[Decoder | None]) -> float:
    built.append(build_decoder(model))
    return 0.0


def is_known(folder: Path) -> bool:
    """Whether a folder's model has an architecture of this package, by its config.json.

    A model that is loaded may still have other parts; see `build_decoder`.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") in ARCHITECTURES


def heads_of(model: Any) -> list[Any]:
    """The layer that gives logits over a vocabulary, where there is one."""
    return [model.lm_head] if hasattr(model, "lm_head") else []


def select(x: Tensor, kept: Tensor | None) -> Tensor:
    """The states of the tokens that get logits; see `Decoder`."""
    import torch

    if kept is None:
        return x
    return x[torch.arange(len(x)), kept][:, None]


def _is_unchanged(model: Any) -> bool:
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
