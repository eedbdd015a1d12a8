"""generate() with its defaults, timed by itself: decoding without the start of the process."""

import json
import sys
import time

from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
n = int(sys.argv[3])
inputs = tokenizer(sys.argv[2], return_tensors="pt")
start = time.perf_counter()
output = model.generate(**inputs, max_new_tokens=n, min_new_tokens=n, do_sample=False)
seconds = time.perf_counter() - start
text = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])
print(json.dumps({"tokens": n, "text": text, "seconds": seconds}))
