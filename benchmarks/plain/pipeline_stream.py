"""A pipeline that prints its text as it comes."""

import sys

from transformers import TextStreamer, pipeline

write = pipeline("text-generation", model=sys.argv[1])
streamer = TextStreamer(write.tokenizer, skip_prompt=True)
n = int(sys.argv[3])
write(sys.argv[2], max_new_tokens=n, min_new_tokens=n, do_sample=False, streamer=streamer)
print(f"{n} tokens, done", file=sys.stderr)
