"""The five-line script: one prompt through a pipeline."""

import json
import sys

from transformers import pipeline

write = pipeline("text-generation", model=sys.argv[1])
n = int(sys.argv[3])
(made,) = write(sys.argv[2], max_new_tokens=n, min_new_tokens=n, do_sample=False)
print(json.dumps({"tokens": n, "text": made["generated_text"][len(sys.argv[2]) :]}))
