"""transformers' own reading of a GGUF file, and its text as it comes."""

import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer, TextStreamer

file, n = Path(sys.argv[1]), int(sys.argv[3])
tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
inputs = tokenizer(sys.argv[2], return_tensors="pt")
streamer = TextStreamer(tokenizer, skip_prompt=True)
model.generate(**inputs, max_new_tokens=n, min_new_tokens=n, do_sample=False, streamer=streamer)
print(f"{n} tokens, done", file=sys.stderr)
