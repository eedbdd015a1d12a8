"""The training section of a recipe; names are those of TrainingArguments."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from hfcli.errors import did_you_mean
from hfcli.fast import SPEED_UPS, names
from hfcli.recipe.sections import Section
from hfcli.recipe.upstream import dataclass_fields
from hfcli.shown import shown
from hfcli.tasks.prepared import MOST

Interval = Literal["no", "steps", "epoch"]
if TYPE_CHECKING:
    Optimization = str
else:
    Optimization = Literal[names("training")]
AUTO = "auto"
DEFAULT_ROWS = 8  # of an optimizer step; TrainingArguments' default
OWNED_BY_HFCLI = {
    "output_dir": "set it at the top of the recipe",
    "seed": "set it at the top of the recipe",
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


class TrainingSection(Section):
    """TrainingArguments that everyone sets; every other one goes under `extra`."""

    learning_rate: float = Field(5e-5, gt=0)
    num_train_epochs: float = Field(3.0, gt=0, le=1_000_000)
    max_steps: int = Field(
        -1, ge=-1, le=MOST, description="Overrides num_train_epochs when positive."
    )
    per_device_train_batch_size: Annotated[int, Field(ge=1, le=MOST)] | Literal["auto"] = Field(
        DEFAULT_ROWS,
        description="Rows at a time; auto: as many as fit into memory, accumulated to"
        " effective_batch_size.",
    )
    per_device_eval_batch_size: int = Field(16, ge=1, le=MOST)
    gradient_accumulation_steps: int = Field(1, ge=1, le=MOST)
    effective_batch_size: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="Rows of an optimizer step, with per_device_train_batch_size: auto;"
        f" default: {DEFAULT_ROWS}.",
    )
    warmup_steps: float = Field(0, ge=0, description="Steps, or below 1 a share of the run.")
    weight_decay: float = Field(0.0, ge=0)
    adam_beta2: float = Field(0.999, gt=0, lt=1)
    max_grad_norm: float = Field(1.0, ge=0)
    lr_scheduler_type: str = "linear"
    bf16: bool | Literal["auto"] = Field(
        "auto", description="bfloat16 autocast; auto: where the processor computes in it."
    )
    save_dtype: Literal["float32", "bfloat16", "float16"] | None = Field(
        None, description="Number type of the saved weights; default: as trained."
    )
    label_smoothing_factor: float = Field(0.0, ge=0, lt=1)
    loss_type: Literal["chunked_nll", "nll"] = Field(
        "chunked_nll",
        description="Loss of language models: `chunked_nll` never holds the logits of all tokens;"
        " `nll` is the model's own computation of the same loss.",
    )
    disable_optimizations: list[Optimization] = Field(
        default_factory=list,
        description="Speed-ups of training on a CPU to leave out: "
        + "; ".join(f"`{one.name}`: {one.help}" for one in SPEED_UPS if one.stage == "training")
        + ".",
    )
    train_sampling_strategy: Literal["random", "sequential", "group_by_length"] | None = Field(
        None,
        description="Order of the rows; default: group_by_length for rows that are padded, random"
        " for packed ones.",
    )
    logging_steps: int = Field(10, ge=1, le=MOST)
    eval_strategy: Interval = "epoch"
    eval_steps: int | None = Field(None, ge=1, le=MOST)
    save_strategy: Interval = "epoch"
    save_steps: int = Field(500, ge=1, le=MOST)
    save_total_limit: int | None = Field(2, ge=1, le=MOST)
    load_best_model_at_end: bool = False
    metric_for_best_model: str | None = Field(
        None, description="Default: loss. Its direction is the metric's own."
    )
    early_stopping_patience: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="Evaluations without a better metric_for_best_model to stop after.",
    )
    early_stopping_threshold: float = Field(
        0.0, ge=0, description="Minimum improvement of the metric."
    )
    sample_prompts: list[str] = Field(
        default_factory=list, description="Prompts to continue at every evaluation."
    )
    extra: dict[str, Any] = Field(
        default_factory=dict, description="Any other TrainingArguments name."
    )

    @field_validator("eval_strategy", "save_strategy", mode="before")
    @classmethod
    def _no_is_a_word(cls, value: Any) -> Any:
        return "no" if value is False else value

    @field_validator("per_device_train_batch_size", mode="before")
    @classmethod
    def _a_number_or_auto(cls, value: Any) -> Any:
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if value != AUTO and (type(number) is not int or number < 1):
            raise ValueError(f"must be a whole number from 1, or auto (found {shown(value)})")
        return number

    @field_validator("bf16", mode="before")
    @classmethod
    def _one_of_three(cls, value: Any) -> Any:
        if value not in (True, False, "auto"):
            raise ValueError(f"must be true, false or auto (found {shown(value)})")
        return value

    @field_validator("extra")
    @classmethod
    def _known_arguments(cls, value: dict[str, Any]) -> dict[str, Any]:
        known = set(cls.model_fields)
        problems = [problem for key in value if (problem := check_extra(key, known))]
        if problems:
            raise ValueError("; ".join(problems))
        return value

    @model_validator(mode="after")
    def _best_needs_evaluation(self) -> TrainingSection:
        if self.load_best_model_at_end and (
            self.eval_strategy == "no" or self.eval_strategy != self.save_strategy
        ):
            raise ValueError("load_best_model_at_end needs eval_strategy equal to save_strategy")
        if self.eval_strategy == "steps" and self.eval_steps is None:
            raise ValueError("eval_strategy: steps needs eval_steps")
        if self.early_stopping_patience is not None and self.eval_strategy == "no":
            raise ValueError("early_stopping_patience needs an eval_strategy")
        if self.early_stopping_threshold and self.early_stopping_patience is None:
            raise ValueError("early_stopping_threshold goes with early_stopping_patience")
        if self.sample_prompts and self.eval_strategy == "no":
            raise ValueError("sample_prompts needs an eval_strategy")
        if 0 < self.max_steps <= self.warmup_steps:
            raise ValueError(
                f"warmup_steps ({self.warmup_steps:g}) is not shorter than the run"
                f" (max_steps {self.max_steps})"
            )
        if self.per_device_train_batch_size == AUTO and self.gradient_accumulation_steps != 1:
            raise ValueError(
                "per_device_train_batch_size: auto chooses gradient_accumulation_steps itself; say"
                " how many rows an optimizer step has by effective_batch_size"
            )
        if self.per_device_train_batch_size != AUTO and self.effective_batch_size is not None:
            raise ValueError("effective_batch_size goes with per_device_train_batch_size: auto")
        return self

    @property
    def split(self) -> tuple[int, int]:
        """Return rows at a time and batches of an optimizer step; one row while that is auto."""
        rows = self.per_device_train_batch_size
        if isinstance(rows, str):
            return 1, self.effective_batch_size or DEFAULT_ROWS
        return rows, self.gradient_accumulation_steps

    @property
    def rows_per_step(self) -> int:
        """Return the rows of an optimizer step."""
        rows, times = self.split
        return rows * times

    def with_split(self, rows: int, times: int) -> TrainingSection:
        """Return the section with numbers in place of auto."""
        return self.model_copy(
            update={
                "per_device_train_batch_size": rows,
                "gradient_accumulation_steps": times,
                "effective_batch_size": None,
            }
        )


def training_argument_names() -> frozenset[str]:
    """Return every TrainingArguments field of the installed transformers."""
    return dataclass_fields("transformers.training_args", "TrainingArguments")


def check_extra(key: str, known: Collection[str]) -> str | None:
    """Return the problem of `key` under training.extra, or None; `known` are keys of training."""
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
