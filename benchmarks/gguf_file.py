"""A folder of GPT-2 or Llama -> a GGUF file in llama.cpp's layout. Writes nothing else.

python -m benchmarks.gguf_file FOLDER FILE
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

GPT2 = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
LLAMA = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(folder: Path, path: Path, *, half: bool = False) -> None:
    """Matrices in float32, or in float16; vectors in float32. Heads are tied to embeddings."""
    import gguf
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = model.config
    writer = gguf.GGUFWriter(path, config.model_type)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    _add_tokenizer(writer, folder)
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    for name, tensor in TENSORS[config.model_type](writer, model).items():
        small = tensor.half() if half and tensor.ndim == 2 else tensor
        writer.add_tensor(name, small.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: Any, folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    special = {t["content"]: t["id"] for t in tokenizer["added_tokens"]}
    tokens = {**tokenizer["model"]["vocab"], **special}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    ordered = sorted(tokens.items(), key=lambda item: item[1])
    writer.add_token_list([token for token, _ in ordered])
    writer.add_token_types([3 if i in special.values() else 1 for _, i in ordered])
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])


def _gpt2(writer: Any, model: Any) -> dict[str, Tensor]:
    """Conv1D's matrices are transposed."""
    config, state = model.config, model.transformer.state_dict()
    writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    tensors = {
        "token_embd.weight": state["wte.weight"],
        "position_embd.weight": state["wpe.weight"],
        "output.weight": state["wte.weight"],
    }
    for kind in ("weight", "bias"):
        tensors[f"output_norm.{kind}"] = state[f"ln_f.{kind}"]
        for i in range(config.n_layer):
            for own, theirs in GPT2.items():
                tensor = state[f"h.{i}.{own}.{kind}"]
                tensors[f"blk.{i}.{theirs}.{kind}"] = tensor.T if tensor.ndim == 2 else tensor
    return tensors


def _llama(writer: Any, model: Any) -> dict[str, Tensor]:
    """Rows of queries and keys in llama.cpp's order: it rotates neighbours, not halves."""
    config, state = model.config, model.model.state_dict()
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    tensors = {
        "token_embd.weight": state["embed_tokens.weight"],
        "output_norm.weight": state["norm.weight"],
    }
    for i in range(config.num_hidden_layers):
        for own, theirs in LLAMA.items():
            tensor = state[f"layers.{i}.{own}.weight"]
            if theirs in heads:
                halves = tensor.view(heads[theirs], 2, config.head_dim // 2, -1)
                tensor = halves.transpose(1, 2).reshape(tensor.shape)
            tensors[f"blk.{i}.{theirs}.weight"] = tensor
    return tensors


# model_type, which is llama.cpp's name of the architecture as well -> what is its own.
TENSORS: dict[str, Callable[[Any, Any], dict[str, Tensor]]] = {"gpt2": _gpt2, "llama": _llama}


if __name__ == "__main__":
    partial = Path(sys.argv[2]).with_suffix(".partial")
    write_gguf(Path(sys.argv[1]), partial, half=True)
    os.replace(partial, sys.argv[2])
