"""The names of the files in the folders that hfcli writes; nothing else spells them."""

from __future__ import annotations

# Of a run.
RUN_FILE = "run.json"
RECIPE_FILE = "recipe.yaml"
RESULT_FILE = "result.json"
METRICS_FILE = "metrics.jsonl"
SAMPLES_FILE = "samples.jsonl"
SWEEP_FILE = "sweep.json"
MODEL_CONFIG_FILE = "model_config.json"  # beside an adapter
TRAINER_STATE_FILE = "trainer_state.json"  # of each checkpoint, by transformers
CARD_FILE = "README.md"  # a name of many authors: hfcli's and peft's begin with their own metadata

# Of an evaluation.
PREDICTIONS_FILE = "predictions.jsonl"
SCORES_FILE = ".scores.partial"
PROMPTS_FILE = "prompts.jsonl"
TEXTS_FILE = "texts.jsonl"

# Of both.
REPORT_FILE = "report.json"
REPORT_PAGE = "report.html"
REPORT_MARKDOWN = "report.md"
MARK_FILE = ".hfcli.json"  # of evaluations and merged models
LOCK_FILE = ".hfcli.lock"
