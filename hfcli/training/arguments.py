"""The recipe's training section -> transformers' TrainingArguments. Starts nothing."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from hfcli.device import computes_bf16
from hfcli.errors import RecipeError
from hfcli.foreign import foreign_errors
from hfcli.metrics import higher_is_better
from hfcli.recipe.schema import Recipe
from hfcli.shown import shown
from hfcli.training.hooks import check_trainer

if TYPE_CHECKING:
    import torch
    from transformers import TrainingArguments

    from hfcli.training.order import Strategy

NOT_ARGUMENTS = {
    "extra", "bf16", "metric_for_best_model", "save_dtype", "early_stopping_patience",
    "early_stopping_threshold", "sample_prompts", "train_sampling_strategy", "loss_type",
    "effective_batch_size", "disable_optimizations",
}  # fmt: skip
# What a recipe may write for an argument of each of these types.
_SCALARS: dict[Any, tuple[type, ...]] = {
    bool: (bool, int), int: (int,), float: (int, float), str: (str,), type(None): (type(None),),
}  # fmt: skip


def training_arguments(*, recipe: Recipe, device: torch.device) -> TrainingArguments:
    """Build TrainingArguments; what hfcli decides itself comes last and cannot be overridden.

    Built once a run, before its data are read; `arguments_for` gives those of one Trainer.

    Args:
        recipe: validated.
        device: where the run takes place.

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
    rows, times = section.split
    values |= {"per_device_train_batch_size": rows, "gradient_accumulation_steps": times}
    if section.load_best_model_at_end or section.early_stopping_patience is not None:
        name = (section.metric_for_best_model or "loss").removeprefix("eval_")
        values |= {
            "metric_for_best_model": f"eval_{name}",
            "greater_is_better": higher_is_better(name),
        }
    _check_types(section.extra, TrainingArguments)
    with foreign_errors(RecipeError, "training: transformers refuses an argument"):
        return TrainingArguments(**values)


def arguments_for(
    arguments: TrainingArguments, *, folder: Path, split: tuple[int, int], evaluate: bool
) -> TrainingArguments:
    """Return the arguments of one Trainer of a run.

    Args:
        arguments: of the run.
        folder: in which Trainer writes its checkpoints; see `HfcliTrainer`.
        split: per_device_train_batch_size and gradient_accumulation_steps.
        evaluate: whether there is anything to evaluate on.

    Raises:
        RecipeError: the best step is asked for, and there is nothing to evaluate on.
    """
    from transformers.trainer_utils import IntervalStrategy

    arguments = copy.copy(arguments)
    arguments.output_dir = str(folder)
    arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps = split
    if not evaluate:
        if arguments.metric_for_best_model:
            raise RecipeError(
                "training: load_best_model_at_end and early_stopping_patience need validation rows",
                hint="data.validation names a file; data.validation_size holds back rows",
            )
        arguments.eval_strategy = IntervalStrategy.NO
    return arguments


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


def decisions(arguments: TrainingArguments, strategy: Strategy, chunked: bool) -> list[str]:
    """Return what a run chose for the machine it is on, each with the key that chooses otherwise.

    Args:
        arguments: of the run.
        strategy: order of the rows.
        chunked: whether a language model's loss is computed by `hfcli.training.head_loss`.
    """
    bf16 = "products in bfloat16, which the device computes in" if arguments.bf16 else "off"
    order = f"{strategy}, so that little is padded" if strategy == "group_by_length" else strategy
    told = [f"bf16: {bf16}", f"train_sampling_strategy: {order}"]
    name = getattr(arguments.optim, "value", arguments.optim)
    told.append(f"extra.optim: {name}")
    if chunked:
        told.append("loss_type: chunked_nll, the head is applied to supervised tokens only")
    return told
