"""A loop over pipeline(), a prompt at a time."""

import hashlib
import json
import sys

from transformers import pipeline

write = pipeline("text-generation", model=sys.argv[1], dtype="float32", device="cpu")
texts, tokens = [], 0
with open(sys.argv[2]) as file:
    rows = [json.loads(line)["body"] for line in file]
for body in rows:
    (made,) = write(
        body["prompt"], max_new_tokens=body["max_tokens"], do_sample=False,
        return_full_text=False, repetition_penalty=1.0,
    )  # fmt: skip
    texts.append(made["generated_text"])
    tokens += body["max_tokens"]
digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
print(json.dumps({"rows": len(texts), "tokens": tokens, "texts": digest}))
