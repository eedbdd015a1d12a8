"""pipeline("text-classification"), row by row."""

import csv
import json
import sys

from transformers import pipeline

classify = pipeline("text-classification", model=sys.argv[1])
with open(sys.argv[2], newline="") as file:
    rows = list(csv.DictReader(file))
right = sum(classify(row["text"])[0]["label"] == row["label"] for row in rows)
print(json.dumps({"rows": len(rows), "accuracy": right / len(rows)}))
