"""The recipe's training section -> transformers' TrainingArguments. Starts nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfcli.device import computes_bf16
from hfcli.errors import RecipeError
from hfcli.metrics import higher_is_better
from hfcli.recipe.schema import Recipe

if TYPE_CHECKING:
    import torch
    from transformers import TrainingArguments

NOT_ARGUMENTS = {"extra", "bf16", "metric_for_best_model", "save_dtype"}


def training_arguments(*, recipe: Recipe, device: torch.device) -> TrainingArguments:
    """Build TrainingArguments; what hfcli decides itself comes last and cannot be overridden.

    Raises:
        RecipeError: a value that TrainingArguments refuses.
    """
    from transformers import TrainingArguments

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
        "include_num_input_tokens_seen": "non_padding",
        # A NaN must be seen, not averaged away.
        "logging_nan_inf_filter": False,
    }
    if section.metric_for_best_model is not None:
        name = section.metric_for_best_model.removeprefix("eval_")
        values |= {
            "metric_for_best_model": f"eval_{name}",
            "greater_is_better": higher_is_better(name),
        }
    try:
        return TrainingArguments(**values)
    except (ValueError, TypeError, ImportError) as e:
        raise RecipeError(f"training: {str(e).splitlines()[0]}") from e
