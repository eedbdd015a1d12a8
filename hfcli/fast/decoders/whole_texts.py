"""A fused decoder in the place of a model's own forward pass, for texts that are read whole.

The model keeps its head and what it does with it. Texts are padded on the right, where causal
attention does not look: no mask is needed, and no cache of keys and values is filled. Inputs of
any other kind go the model's own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfcli.fast.decoders import Attend, FusedDecoder

if TYPE_CHECKING:
    from torch import Tensor

    from hfcli.fast.decoders import Decoder
    from hfcli.fast.prepared import PreparedModel

TOKENS = 2048  # in a batch, with which products are as fast as with more
LENGTHS = 128  # a batch is filled up to a multiple of so many tokens


def attend_alone(_layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """Every token reads itself and those before it in its own text; nothing is kept."""
    from torch.nn.functional import scaled_dot_product_attention

    rows, tokens, heads, width = q.shape
    shared = heads != k.shape[2]
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    found = scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=shared)
    return found.transpose(1, 2).reshape(rows, tokens, heads * width)


def install(prepared: PreparedModel) -> tuple[bool, str | None]:
    """Let a model compute with the fused decoder of its architecture.

    Args:
        prepared: in inference mode, on a CPU; its layers are not packed yet.

    Returns:
        Whether its architecture has one that works, and why it does not work.
    """
    from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

    model = prepared.model
    decoder, reason = FusedDecoder().prepare(model)
    if decoder is None:
        return False, reason
    body: Any = model.base_model
    own = body.forward

    def forward(
        input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **others: Any
    ) -> Any:
        given = any(value is not None and value is not False for value in others.values())
        if input_ids is None or given or not _padded_right(attention_mask):
            return own(input_ids=input_ids, attention_mask=attention_mask, **others)
        hidden = read(decoder, input_ids)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=hidden)

    body.forward = forward
    return True, None


def read(decoder: Decoder, ids: Tensor, attend: Attend = attend_alone) -> Tensor:
    """(rows, tokens, width) hidden states of ids (rows, tokens), all tokens in one row on the way.

    The matrix library writes code for every number of tokens that it has not seen, which takes as
    long as reading a few hundred of them; so the row is filled up to a length that recurs.

    Args:
        decoder: of the model.
        ids: padded on the right.
        attend: gets the tokens in their rows.
    """
    import torch

    rows, tokens = ids.shape
    n = rows * tokens
    filled = torch.nn.functional.pad(ids.flatten(), (0, -n % LENGTHS))[None]
    positions = torch.arange(filled.shape[1]).remainder_(tokens)[None]

    def in_rows(layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        whole = q.new_zeros(*q.shape[:2], q.shape[2] * q.shape[3])
        q, k, v = (part[0, :n].view(rows, tokens, *part.shape[2:]) for part in (q, k, v))
        whole[0, :n] = attend(layer, q, k, v, scale).view(n, -1)
        return whole

    return decoder.hidden(filled, positions, in_rows)[0, :n].view(rows, tokens, -1)


def _padded_right(mask: Tensor | None) -> bool:
    return mask is None or (mask.ndim == 2 and bool((mask[:, 1:] <= mask[:, :-1]).all()))
