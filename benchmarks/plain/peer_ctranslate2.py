"""CTranslate2, greedy; the model is converted once, beside its folder."""

import json
import os
import sys
import time

import ctranslate2
import torch
from ctranslate2.converters import TransformersConverter
from transformers import AutoTokenizer

model, prompt, n, kind = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
converted = f"{model}.ctranslate2-{kind}"
if not os.path.isdir(converted):
    TransformersConverter(model).convert(f"{converted}.partial", quantization=kind, force=True)
    os.replace(f"{converted}.partial", converted)
tokenizer = AutoTokenizer.from_pretrained(model)
generator = ctranslate2.Generator(
    converted, compute_type=kind, inter_threads=1, intra_threads=torch.get_num_threads()
)
tokens = tokenizer.convert_ids_to_tokens(tokenizer(prompt)["input_ids"])
start = time.perf_counter()
(result,) = generator.generate_batch(
    [tokens], max_length=n, min_length=n, beam_size=1, include_prompt_in_result=False
)
seconds = time.perf_counter() - start
made = result.sequences_ids[0]
print(json.dumps({"tokens": len(made), "text": tokenizer.decode(made), "seconds": seconds}))
