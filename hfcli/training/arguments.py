"""The recipe's training section -> transformers' TrainingArguments. Starts nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from hfcli.data.prepare import Stored
from hfcli.device import computes_bf16
from hfcli.errors import RecipeError
from hfcli.foreign import foreign_errors
from hfcli.metrics import higher_is_better
from hfcli.recipe.schema import Recipe
from hfcli.shown import shown
from hfcli.tasks.base import Prepared
from hfcli.training.hooks import check_trainer
from hfcli.training.order import Strategy

if TYPE_CHECKING:
    import torch
    from transformers import TrainingArguments

NOT_ARGUMENTS = {
    "extra", "bf16", "metric_for_best_model", "save_dtype", "early_stopping_patience",
    "early_stopping_threshold", "sample_prompts", "train_sampling_strategy", "loss_type",
    "effective_batch_size", "disable_optimizations",
}  # fmt: skip
# What a recipe may write for an argument of each of these types.
_SCALARS: dict[Any, tuple[type, ...]] = {
    bool: (bool, int), int: (int,), float: (int, float), str: (str,), type(None): (type(None),),
}  # fmt: skip


def training_arguments(
    *,
    recipe: Recipe,
    device: torch.device,
    split: tuple[int, int] | None = None,
    evaluate: bool = True,
) -> TrainingArguments:
    """Build TrainingArguments; what hfcli decides itself comes last and cannot be overridden.

    Args:
        recipe: validated.
        device: where the run takes place.
        split: per_device_train_batch_size and gradient_accumulation_steps, where they are not
            those of the recipe.
        evaluate: whether there is anything to evaluate on.

    Raises:
        RecipeError: a value that TrainingArguments refuses.
        RunError: this version of transformers lacks what a run needs.
    """
    from transformers import Trainer, TrainingArguments

    check_trainer(Trainer)
    section = recipe.training
    values: dict[str, Any] = {
        name: value for name, value in section if name not in NOT_ARGUMENTS and value is not None
    }
    values |= {"report_to": "none", **section.extra}
    values |= {
        "output_dir": str(recipe.output_dir),
        "seed": recipe.seed,
        "use_cpu": device.type == "cpu",
        "bf16": computes_bf16(device) if section.bf16 == "auto" else section.bf16,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "include_num_input_tokens_seen": "no",  # Trainer takes an eos that pads for a token
        # A NaN must be seen, not averaged away.
        "logging_nan_inf_filter": False,
        # Early stopping goes on counting after a resume.
        "restore_callback_states_from_checkpoint": True,
    }
    rows, times = split or section.split
    values |= {"per_device_train_batch_size": rows, "gradient_accumulation_steps": times}
    if not evaluate:
        values["eval_strategy"] = "no"
    if section.load_best_model_at_end or section.early_stopping_patience is not None:
        name = (section.metric_for_best_model or "loss").removeprefix("eval_")
        values |= {
            "metric_for_best_model": f"eval_{name}",
            "greater_is_better": higher_is_better(name),
        }
    _check_types(section.extra, TrainingArguments)
    with foreign_errors(RecipeError, "training: transformers refuses an argument"):
        return TrainingArguments(**values)


def _check_types(extra: Mapping[str, Any], arguments: type[TrainingArguments]) -> None:
    """Refuse values of another type: transformers takes them, and fails at the first step.

    Only arguments that are a number, a text or yes/no are checked; the others it checks itself.
    """
    for field in dataclasses.fields(arguments):
        allowed = set(get_args(field.type) or (field.type,))
        if field.name in extra and allowed <= _SCALARS.keys():
            value = extra[field.name]
            if not any(type(value) in _SCALARS[kind] for kind in allowed):
                names = [kind.__name__ for kind in _SCALARS if kind in allowed]
                raise RecipeError(
                    f"training.extra.{field.name}: expected {' or '.join(names)}"
                    f" (found {shown(value)})".replace("NoneType", "null")
                )


def sampling_strategy(recipe: Recipe, train: Prepared) -> Strategy:
    """The recipe's order of rows, else by length where rows of unequal length would be padded."""
    if recipe.training.train_sampling_strategy is not None:
        return recipe.training.train_sampling_strategy
    return "group_by_length" if isinstance(train.features, Stored) else "random"


def check_length(recipe: Recipe, n_rows: int) -> int:
    """The number of optimizer steps.

    Raises:
        RecipeError: the warm-up is not shorter than the run.
    """
    section = recipe.training
    steps = section.max_steps
    if steps <= 0:
        steps = math.ceil(section.num_train_epochs * math.ceil(n_rows / section.rows_per_step))
    if section.warmup_steps >= max(1, steps):
        raise RecipeError(
            f"training.warmup_steps ({section.warmup_steps:g}) is not shorter than the run"
            f" ({steps} steps)",
            hint="below 1 it is a share of the run",
        )
    return steps
