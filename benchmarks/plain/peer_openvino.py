"""OpenVINO by itself, greedy: one step of GPT-2, with keys and values as the model's state."""

import json
import os
import sys
import time

import numpy as np
import openvino
import torch
from openvino.passes import MakeStateful, Manager
from transformers import AutoModelForCausalLM, AutoTokenizer


class Step(torch.nn.Module):
    """(1, tokens) ids and what was read before -> the next token, keys and values of all."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, *past: torch.Tensor) -> tuple[torch.Tensor, ...]:
        body, heads = self.model.transformer, self.model.config.n_head
        positions = torch.arange(ids.shape[1]) + past[0].shape[2]
        seen = torch.arange(past[0].shape[2] + ids.shape[1])[None] <= positions[:, None]
        states, kept = body.wte(ids) + body.wpe(positions), []
        for i, block in enumerate(body.h):
            parts = block.attn.c_attn(block.ln_1(states)).chunk(3, dim=-1)
            query, key, value = (
                part.reshape(1, -1, heads, part.shape[-1] // heads).transpose(1, 2)
                for part in parts
            )
            key = torch.cat([past[2 * i], key], dim=2)
            value = torch.cat([past[2 * i + 1], value], dim=2)
            kept += [key, value]
            found = torch.nn.functional.scaled_dot_product_attention(
                query, key, value, attn_mask=seen
            )
            states = states + block.attn.c_proj(found.transpose(1, 2).flatten(2))
            states = states + block.mlp(block.ln_2(states))
        logits = self.model.lm_head(body.ln_f(states)[:, -1])
        return logits.argmax(-1), *kept


def convert(folder: str, path: str) -> None:
    """Write the step in OpenVINO's format."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    config = model.config
    width = config.n_embd // config.n_head
    past = [torch.zeros(1, config.n_head, 3, width) for _ in range(2 * config.n_layer)]
    with torch.no_grad():
        traced = torch.jit.trace(Step(model), (torch.ones(1, 2, dtype=torch.long), *past))
    step = openvino.convert_model(traced)
    shapes = [openvino.PartialShape([1, -1])]
    shapes += [openvino.PartialShape([1, config.n_head, -1, width])] * len(past)
    step.reshape(dict(zip(step.inputs, shapes, strict=True)))
    manager = Manager()
    pairs = zip(step.get_parameters()[1:], step.get_results()[1:], strict=True)
    manager.register_pass(MakeStateful(list(pairs)))
    manager.run_passes(step)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    openvino.save_model(step, path, compress_to_fp16=False)


folder, prompt, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
path = f"{folder}.openvino/model.xml"
if not os.path.isfile(path):
    convert(folder, path)
options = {
    "INFERENCE_PRECISION_HINT": "bf16",
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_NUM_THREADS": torch.get_num_threads(),
}
request = openvino.Core().compile_model(path, "CPU", options).create_infer_request()
tokenizer = AutoTokenizer.from_pretrained(folder)
ids = tokenizer(prompt, return_tensors="np")["input_ids"].astype(np.int64)
made = []
start = time.perf_counter()
while len(made) < n:
    request.infer([ids])
    made.append(int(request.get_output_tensor(0).data[0]))
    ids = np.array([[made[-1]]])
seconds = time.perf_counter() - start
print(json.dumps({"tokens": len(made), "text": tokenizer.decode(made), "seconds": seconds}))
