"""Llama: rotated queries and keys, which may share heads, RMS norms, a gated MLP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfcli.fast import decoders
from hfcli.fast.decoders import Attend, heads_of, select
from hfcli.fast.linear import are_linear, linear, linear_add

if TYPE_CHECKING:
    from torch import Tensor


class Decoder(decoders.Decoder):
    """See `hfcli.fast.decoders.Decoder`."""

    @classmethod
    def of(cls, model: Any) -> Decoder | None:
        """None where the model has other parts."""
        if model.config.hidden_act != "silu":
            return None
        layers = heads_of(model)
        for block in model.model.layers:
            attention, mlp = block.self_attn, block.mlp
            layers += [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
            layers += [mlp.gate_proj, mlp.up_proj, mlp.down_proj]
        return cls(model) if are_linear(layers) else None

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.words = model.model.embed_tokens.weight
        self.rotation = model.model.rotary_emb
        self.last = model.model.norm
        # The modules' dictionaries: packing puts other layers into them.
        self.blocks = [
            (
                b.input_layernorm,
                b.self_attn._modules,
                b.self_attn.head_dim,
                b.self_attn.scaling,
                b.post_attention_layernorm,
                b.mlp._modules,
            )
            for b in model.model.layers
        ]

    def hidden(
        self, inputs: Tensor, positions: Tensor, attend: Attend, kept: Tensor | None = None
    ) -> Tensor:
        """See `hfcli.fast.decoders.Decoder`."""
        import torch
        from torch.nn.functional import embedding, silu

        x = embedding(inputs, self.words)
        cos, sin = (part[:, :, None] for part in self.rotation(x, positions))
        half = sin.shape[-1] // 2
        sin = torch.cat((-sin[..., :half], sin[..., half:]), -1)  # rolling takes no signs along
        for i, (before, attention, width, scale, between, mlp) in enumerate(self.blocks):
            y = _norm(before, x)
            q, k, v = (
                linear(attention[name], y).view(*inputs.shape, -1, width)
                for name in ("q_proj", "k_proj", "v_proj")
            )
            q, k = (part * cos + part.roll(half, -1) * sin for part in (q, k))
            x = linear_add(attention["o_proj"], attend(i, q, k, v, scale), x)
            y = _norm(between, x)
            gate = silu(linear(mlp["gate_proj"], y))
            x = linear_add(mlp["down_proj"], gate * linear(mlp["up_proj"], y), x)
        return _norm(self.last, select(x, kept))


def _norm(module: Any, x: Tensor) -> Tensor:
    from torch.nn.functional import rms_norm

    return rms_norm(x, module.weight.shape, module.weight, module.variance_epsilon)
