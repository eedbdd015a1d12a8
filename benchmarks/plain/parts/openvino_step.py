"""One step of GPT-2 or Llama in OpenVINO's format: tokens in, the next token of each row out.

Keys and values are the model's state. Written by hand, since OpenVINO converts a model's forward
pass, but not its cache. Knows nothing about texts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Step(torch.nn.Module):
    """(rows, tokens) ids, (rows, past + tokens) what of it is no padding, (rows) from which row of
    the last step each goes on, keys and values -> (rows) the next tokens, keys and values.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.read = {"gpt2": gpt2, "llama": llama}[model.config.model_type]

    def forward(self, ids: Tensor, real: Tensor, beam_idx: Tensor, *past: Tensor) -> Any:
        before, own = past[0].shape[2], torch.arange(ids.shape[1])
        columns = torch.arange(before + ids.shape[1])
        # Padding sees itself, so that it is a number.
        seen = (real[:, None] != 0) & (columns <= own[:, None] + before)
        seen = (seen | (columns == own[:, None] + before))[:, None]
        positions = (real.cumsum(1) - 1).clamp(min=0)[:, before:]
        kept: list[Tensor] = []

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            for i, new in enumerate((key, value)):
                old = past[2 * layer + i].index_select(0, beam_idx)
                kept.append(torch.cat([old, new], dim=2))
            key, value = (repeated(each, query.shape[1]) for each in kept[-2:])
            found = scaled_dot_product_attention(query, key, value, attn_mask=seen)
            return found.transpose(1, 2).flatten(2)

        states = self.read(self.model, ids, positions, attend)
        return self.model.lm_head(states[:, -1]).argmax(-1), *kept


def gpt2(model: Any, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
    """The states after the last layer."""
    body, heads = model.transformer, model.config.n_head
    states = body.wte(ids) + body.wpe(positions)
    for i, block in enumerate(body.h):
        parts = block.attn.c_attn(block.ln_1(states)).chunk(3, dim=-1)
        states = states + block.attn.c_proj(attend(i, *(split(part, heads) for part in parts)))
        states = states + block.mlp(block.ln_2(states))
    return body.ln_f(states)


def llama(model: Any, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
    """Likewise."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    body, config = model.model, model.config
    states = body.embed_tokens(ids)
    cos, sin = body.rotary_emb(states, positions)
    for i, block in enumerate(body.layers):
        own, normed = block.self_attn, block.input_layernorm(states)
        query = split(own.q_proj(normed), config.num_attention_heads)
        key, value = (
            split(part(normed), config.num_key_value_heads) for part in (own.k_proj, own.v_proj)
        )
        query, key = apply_rotary_pos_emb(query, key, cos, sin)
        states = states + own.o_proj(attend(i, query, key, value))
        states = states + block.mlp(block.post_attention_layernorm(states))
    return body.norm(states)


def split(tensor: Tensor, heads: int) -> Tensor:
    """(rows, tokens, width) -> (rows, heads, tokens, width of a head)."""
    return tensor.reshape(*tensor.shape[:2], heads, tensor.shape[-1] // heads).transpose(1, 2)


def repeated(tensor: Tensor, heads: int) -> Tensor:
    """As many heads as the queries have."""
    if tensor.shape[1] == heads:
        return tensor
    rows, own, tokens, width = tensor.shape
    wide = tensor[:, :, None].expand(rows, own, heads // own, tokens, width)
    return wide.reshape(rows, heads, tokens, width)


def convert(folder: str, path: str, *, small: bool) -> None:
    """Write the step of a folder's model.

    Args:
        small: weights in 8 bits, which takes nncf.
    """
    import openvino
    from openvino.passes import MakeStateful, Manager
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    config = model.config
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    width = config.hidden_size // config.num_attention_heads
    past = [torch.zeros(2, heads, 3, width) for _ in range(2 * config.num_hidden_layers)]
    ids, real, beam_idx = (torch.ones(shape, dtype=torch.long) for shape in ((2, 4), (2, 7), (2,)))
    with torch.no_grad():
        traced = torch.jit.trace(Step(model), (ids, real, beam_idx, *past))
    step = openvino.convert_model(traced)
    shapes = [[-1, -1], [-1, -1], [-1], *[[-1, heads, -1, width]] * len(past)]
    step.reshape({i: openvino.PartialShape(shape) for i, shape in enumerate(shapes)})
    step.inputs[2].set_names({"beam_idx"})
    if small:
        import nncf

        step = nncf.compress_weights(step, mode=nncf.CompressWeightsMode.INT8_ASYM)
    manager = Manager()
    pairs = zip(step.get_parameters()[3:], step.get_results()[1:], strict=True)
    manager.register_pass(MakeStateful(list(pairs)))
    manager.run_passes(step)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    openvino.save_model(step, path, compress_to_fp16=False)
