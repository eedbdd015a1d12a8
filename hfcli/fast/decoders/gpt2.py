"""GPT-2: learned positions, one product for queries, keys and values, GELU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfcli.fast import decoders
from hfcli.fast.decoders import Attend, heads_of, select
from hfcli.fast.linear import are_linear, linear, linear_add, linear_gelu

if TYPE_CHECKING:
    from torch import Tensor

GELU = ("gelu_new", "gelu_pytorch_tanh")  # two names of one function


class Decoder(decoders.Decoder):
    """See `hfcli.fast.decoders.Decoder`."""

    @classmethod
    def of(cls, model: Any) -> Decoder | None:
        """None where the model has other parts."""
        config = model.config
        if config.activation_function not in GELU or config.add_cross_attention:
            return None
        if config.reorder_and_upcast_attn:
            return None
        layers = heads_of(model)
        for block in model.transformer.h:
            attention, mlp = block.attn, block.mlp
            layers += [attention.c_attn, attention.c_proj, mlp.c_fc, mlp.c_proj]
        return cls(model) if are_linear(layers) else None

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.width: int = model.config.hidden_size
        self.heads: int = model.config.num_attention_heads
        body = model.transformer
        self.words, self.places = body.wte.weight, body.wpe.weight
        self.last = body.ln_f
        # The modules' dictionaries: packing puts other layers into them.
        self.blocks = [
            (b.ln_1, b.attn._modules, b.attn.scaling, b.ln_2, b.mlp._modules) for b in body.h
        ]

    def hidden(
        self, inputs: Tensor, positions: Tensor, attend: Attend, kept: Tensor | None = None
    ) -> Tensor:
        """See `hfcli.fast.decoders.Decoder`."""
        from torch.nn.functional import embedding

        rows, tokens = inputs.shape
        x = embedding(inputs, self.words) + embedding(positions, self.places)
        for i, (before, attention, scale, between, mlp) in enumerate(self.blocks):
            joint = linear(attention["c_attn"], self._norm(before, x))
            q, k, v = joint.view(rows, tokens, 3, self.heads, -1).unbind(2)
            x = linear_add(attention["c_proj"], attend(i, q, k, v, scale), x)
            x = linear_add(mlp["c_proj"], linear_gelu(mlp["c_fc"], self._norm(between, x)), x)
        return self._norm(self.last, select(x, kept))

    def _norm(self, module: Any, x: Tensor) -> Tensor:
        from torch import layer_norm

        return layer_norm(x, (self.width,), module.weight, module.bias, module.eps)
