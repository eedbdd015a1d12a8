"""Whether a model predicts each token from those before it, as generation and perplexity need.

transformers loads BERT and its kin as causal language models, with a word in its log: each token
then sees those that follow it, and texts and scores mean nothing. Reads configurations only.
"""

from __future__ import annotations

from typing import Any

from hfcli.errors import ModelError

# Their configurations have `is_decoder: false`, which their code does not read.
DECODERS = ("gpt_neox", "gpt_neox_japanese", "trocr")
UNKNOWN = "Unrecognized configuration class"  # transformers: not in the mapping of an auto class
HINT = "use a causal language model, such as GPT-2, Llama or Qwen"


def check_causal(config: Any, name: str) -> None:
    """Raise where a model cannot be used as a causal language model.

    Args:
        config: of the model.
        name: of the model, for the message.

    Raises:
        ModelError: a masked language model, or an encoder and a decoder.
    """
    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{name}: {kind} is an encoder-decoder model, not a causal language model", hint=HINT
        )
    masked = getattr(config, "is_decoder", None) is False and kind not in DECODERS
    if masked or getattr(config, "causal", None) is False:
        raise ModelError(
            f"{name}: {kind} is a masked language model: its tokens see those that follow",
            hint=HINT + "; or set is_decoder in its config.json, where it was trained as one",
        )


def is_causal_task(task: Any) -> bool:
    """Return whether the models of a task are causal language models."""
    return bool(task.auto_class().__name__ == "AutoModelForCausalLM")
