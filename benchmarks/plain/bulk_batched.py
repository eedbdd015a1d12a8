"""pipeline(batch_size=32) in the order of the file; a batch is as long as its longest text."""

import json
import sys

from transformers import pipeline

write = pipeline("text-generation", model=sys.argv[1], dtype="float32", device="cpu")
write.tokenizer.pad_token = write.tokenizer.eos_token
write.tokenizer.padding_side = "left"
with open(sys.argv[2]) as file:
    rows = [json.loads(line)["body"] for line in file]
texts, tokens = [], 0
for start in range(0, len(rows), 32):
    batch = rows[start : start + 32]
    made = write(
        [row["prompt"] for row in batch], batch_size=32, do_sample=False, return_full_text=False,
        max_new_tokens=max(row["max_tokens"] for row in batch),
    )  # fmt: skip
    texts += [each["generated_text"] for (each,) in made]
    tokens += sum(row["max_tokens"] for row in batch)
print(json.dumps({"rows": len(texts), "tokens": tokens}))
