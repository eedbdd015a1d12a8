"""A GPT-2 folder -> a GGUF file in llama.cpp's layout. Writes nothing else.

python -m benchmarks.gguf_file FOLDER FILE
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

NAMES = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def write_gguf(folder: Path, path: Path, *, half: bool = False) -> None:
    """Matrices (Conv1D's transposed) in float32, or in float16; vectors in float32."""
    import gguf
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = {
        **tokenizer["model"]["vocab"],
        **{t["content"]: t["id"] for t in tokenizer["added_tokens"]},
    }
    special = {t["id"] for t in tokenizer["added_tokens"]}
    config = model.config
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_feed_forward_length(4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_tokenizer_model("gpt2")
    ordered = sorted(tokens.items(), key=lambda item: item[1])
    writer.add_token_list([token for token, _ in ordered])
    writer.add_token_types([3 if i in special else 1 for _, i in ordered])
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    state = model.transformer.state_dict()
    tensors = {
        "token_embd.weight": state["wte.weight"],
        "position_embd.weight": state["wpe.weight"],
        "output.weight": state["wte.weight"],
    }
    for kind in ("weight", "bias"):
        tensors[f"output_norm.{kind}"] = state[f"ln_f.{kind}"]
        for i in range(config.n_layer):
            for own, theirs in NAMES.items():
                tensor = state[f"h.{i}.{own}.{kind}"]
                tensors[f"blk.{i}.{theirs}.{kind}"] = tensor.T if tensor.ndim == 2 else tensor
    for name, tensor in tensors.items():
        small = tensor.half() if half and tensor.ndim == 2 else tensor
        writer.add_tensor(name, small.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    partial = Path(sys.argv[2]).with_suffix(".partial")
    write_gguf(Path(sys.argv[1]), partial, half=True)
    os.replace(partial, sys.argv[2])
