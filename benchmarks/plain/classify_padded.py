"""The tutorial's way to finetune a classifier: Trainer, every sentence padded to 128 tokens."""

import json
import sys

from datasets import load_dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
)

MODEL, DATA, OUTPUT, BATCH = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

tokenizer = AutoTokenizer.from_pretrained(MODEL)
tokenizer.pad_token = tokenizer.eos_token
rows = load_dataset("csv", data_files=DATA, split="train").class_encode_column("label")
rows = rows.map(
    lambda batch: tokenizer(
        batch["text"], padding="max_length", truncation=True, max_length=128
    ),
    batched=True,
)  # fmt: skip
model = AutoModelForSequenceClassification.from_pretrained(MODEL, num_labels=2)
model.config.pad_token_id = tokenizer.pad_token_id
arguments = TrainingArguments(
    output_dir=OUTPUT, num_train_epochs=2, per_device_train_batch_size=BATCH,
    learning_rate=1e-6, logging_steps=1, save_strategy="no", use_cpu=True,
)  # fmt: skip
trainer = Trainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)
trainer.train()

losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
told = {
    "rows": len(rows) * 2,
    "tokens": sum(map(sum, rows["attention_mask"])) * 2,
    "batch": BATCH,
    "steps": trainer.state.global_step,
    "loss": sum(losses) / len(losses),
}
print(json.dumps(told))
