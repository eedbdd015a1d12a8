"""The short forward pass in the place of a model's own, for scoring texts that are read whole.

The model keeps its head and what it does with it. Texts are padded on the right, where causal
attention does not look: no mask is needed, and no cache of keys and values is filled. Inputs of
any other kind go the model's own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfcli.models.forward import ARCHITECTURES, short_forward

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

CLASSIFIERS = {"gpt2": "GPT2ForSequenceClassification", "llama": "LlamaForSequenceClassification"}


def shorten(model: PreTrainedModel) -> bool:
    """Let a model compute in fewer operations, for good; whether its architecture is known.

    Args:
        model: in inference mode, on a CPU; its linear layers may be packed.
    """
    import torch
    from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

    short = short_forward(model, ARCHITECTURES) or short_forward(model, CLASSIFIERS)
    if short is None:
        return False
    body: Any = model.base_model
    own = body.forward

    def forward(
        input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **others: Any
    ) -> Any:
        given = {name for name, value in others.items() if value not in (None, False)}
        if input_ids is None or given or not _padded_right(attention_mask):
            return own(input_ids=input_ids, attention_mask=attention_mask, **others)
        positions = torch.arange(input_ids.shape[1])[None]
        hidden = short.hidden(input_ids, positions, causal)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=hidden)

    body.forward = forward
    return True


def causal(_layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """See `hfcli.models.forward.Attend`: every token reads itself and those before it."""
    from torch.nn.functional import scaled_dot_product_attention

    rows, tokens, heads, _width = q.shape
    read = scaled_dot_product_attention(
        q.transpose(1, 2),
        k.transpose(1, 2),
        v.transpose(1, 2),
        is_causal=tokens > 1,
        scale=scale,
        enable_gqa=k.shape[2] != heads,
    )
    return read.transpose(1, 2).reshape(rows, tokens, -1)


def _padded_right(mask: Tensor | None) -> bool:
    return mask is None or bool((mask.ndim == 2) and (mask[:, 1:] <= mask[:, :-1]).all())
