"""Names of TrainingArguments: which exist, which hfcli sets itself, which have changed."""

from __future__ import annotations

from collections.abc import Collection

from hfcli.errors import did_you_mean
from hfcli.recipe.upstream import dataclass_fields

OWNED_BY_HFCLI = {
    "output_dir": "it stands at the top of the recipe",
    "seed": "it stands at the top of the recipe",
    "use_cpu": "set device at the top of the recipe",
    "per_gpu_train_batch_size": "it is per_device_train_batch_size",
    "include_num_input_tokens_seen": "hfcli sets it",
    "remove_unused_columns": "hfcli sets it",
    "disable_tqdm": "hfcli sets it",
    "resume_from_checkpoint": "use --resume",
    **dict.fromkeys(
        ("deepspeed", "fsdp", "fsdp_config", "parallelism_config"),
        "hfcli trains in one process, on one device",
    ),
}
RENAMED = {
    "evaluation_strategy": "eval_strategy",
    "warmup_ratio": "warmup_steps (below 1 it is a share of the run)",
    "no_cuda": "device: cpu at the top of the recipe",
    "overwrite_output_dir": "the flag --overwrite",
    "group_by_length": "train_sampling_strategy: group_by_length under training.extra",
    "epochs": "num_train_epochs",
    "lr": "learning_rate",
    "batch_size": "per_device_train_batch_size",
}


def training_argument_names() -> frozenset[str]:
    """Every TrainingArguments field of the installed transformers."""
    return dataclass_fields("transformers.training_args", "TrainingArguments")


def check_extra(key: str, known: Collection[str]) -> str | None:
    """What is wrong with `key` under training.extra, or None; `known` stand under training."""
    if key in known:
        return f"{key} belongs directly under training"
    if key in OWNED_BY_HFCLI:
        return f"{key} cannot be set here: {OWNED_BY_HFCLI[key]}"
    if key == "push_to_hub" or key.startswith("hub_"):
        return f"{key} cannot be set here: use --push-to-hub, which uploads after the run"
    if key in training_argument_names():
        return None
    if key in RENAMED:
        return f"{key} is not a TrainingArguments name, use {RENAMED[key]}"
    near = did_you_mean(key, training_argument_names())
    return f"{key} is not a TrainingArguments name" + (f", did you mean {near}?" if near else "")
