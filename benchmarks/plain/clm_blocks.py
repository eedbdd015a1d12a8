"""run_clm's recipe: texts are put one after another and chopped into blocks of 512, float32."""

import json
import sys
from itertools import chain

from datasets import load_dataset
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
    default_data_collator,
)

MODEL, DATA, OUTPUT = sys.argv[1:4]
BATCH, STEPS, BLOCK = int(sys.argv[4]), int(sys.argv[5]), 512

tokenizer = AutoTokenizer.from_pretrained(MODEL)
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype="float32")


def chop(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
    joined = list(chain(*batch["input_ids"]))
    total = len(joined) // BLOCK * BLOCK
    blocks = [joined[i : i + BLOCK] for i in range(0, total, BLOCK)]
    return {"input_ids": blocks, "labels": [list(block) for block in blocks]}


rows = load_dataset("text", data_files=DATA, split="train")
rows = rows.map(lambda batch: tokenizer(batch["text"]), batched=True, remove_columns=["text"])
rows = rows.map(chop, batched=True, remove_columns=rows.column_names)
arguments = TrainingArguments(
    output_dir=OUTPUT, max_steps=STEPS, per_device_train_batch_size=BATCH,
    logging_steps=1, save_strategy="no", use_cpu=True,
)  # fmt: skip
trainer = Trainer(
    model=model, args=arguments, train_dataset=rows, processing_class=tokenizer,
    data_collator=default_data_collator,
)  # fmt: skip
trainer.train()

losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
told = {
    "rows": STEPS * BATCH,
    "tokens": STEPS * BATCH * BLOCK,
    "batch": BATCH,
    "steps": trainer.state.global_step,
    "loss": sum(losses) / len(losses),
}
print(json.dumps(told))
