"""The strided loop of the Hugging Face documentation on perplexity, in float32."""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
with open(sys.argv[2]) as file:
    ids = tokenizer(file.read(), return_tensors="pt").input_ids
longest, stride = int(sys.argv[3]), int(sys.argv[4])
total, count, before = 0.0, 0, 0
for begin in range(0, ids.shape[1], stride):
    end = min(begin + longest, ids.shape[1])
    target = ids[:, begin:end].clone()
    target[:, : before - end] = -100
    with torch.no_grad():
        loss = model(ids[:, begin:end], labels=target).loss
    tokens = int((target != -100).sum()) - target.shape[0]
    total, count, before = total + loss.item() * tokens, count + tokens, end
    if end == ids.shape[1]:
        break
print(json.dumps({"tokens": count, "loss": total / count}))
