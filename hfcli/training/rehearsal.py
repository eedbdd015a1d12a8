"""What would fail at the first step or at saving fails here: before a folder is claimed.

The real things are made and thrown away: Trainer, optimizer, scheduler, and the files that are
saved beside the weights. Shared by `finetune` and `--dry-run`, so that both end with the same
line. Trains nothing.
"""

from __future__ import annotations

import copy
import tempfile
from typing import TYPE_CHECKING, Any

from hfcli import files
from hfcli.errors import ModelError, RecipeError
from hfcli.foreign import foreign_errors
from hfcli.recipe.schema import Recipe
from hfcli.recipe.sections import GenerationSettings
from hfcli.training.arguments import check_length
from hfcli.training.setup import RunSetup

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, TrainingArguments

SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff",
            "top_h")  # fmt: skip


def rehearse(*, recipe: Recipe, setup: RunSetup, arguments: TrainingArguments) -> list[str]:
    """Make everything that a run needs, and save everything but its weights.

    Args:
        recipe: resolved.
        setup: of the run; its model gets generation settings that can be saved.
        arguments: of the run.

    Returns:
        Sentences about what is saved.

    Raises:
        RecipeError: transformers refuses an argument, an optimizer, a scheduler, or settings.
        ModelError: the tokenizer or a configuration cannot be saved.
    """
    model = without_adapter(setup.loaded.model)
    notes = _generation_notes(model, recipe) if model.can_generate() else []
    steps = check_length(recipe, len(setup.train.lengths))
    _make_trainer(recipe, setup, arguments, steps)
    with (
        tempfile.TemporaryDirectory(dir=files.scratch()) as folder,
        foreign_errors(ModelError, f"{setup.loaded.source.name}: cannot be saved"),
    ):
        setup.loaded.tokenizer.save_pretrained(folder)
        model.config.save_pretrained(folder)
    return notes


def without_adapter(model: Any) -> Any:
    """The model that an adapter is on, whose settings are saved; or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _make_trainer(
    recipe: Recipe, setup: RunSetup, arguments: TrainingArguments, steps: int
) -> None:
    from hfcli.training.trial import trial_trainer

    with (
        foreign_errors(RecipeError, "training: transformers refuses an argument"),
        # The run itself changes the model, and tells it.
        trial_trainer(recipe, setup, arguments, optimized=False) as trainer,
    ):
        with foreign_errors(RecipeError, f"training: the optimizer {_name(arguments.optim)}"):
            trainer.create_optimizer()
        schedule = _name(arguments.lr_scheduler_type)
        with foreign_errors(RecipeError, f"training: lr_scheduler_type {schedule}"):
            trainer.create_scheduler(steps, trainer.optimizer)


def _name(value: Any) -> str:
    return str(getattr(value, "value", value))


def _generation_notes(model: PreTrainedModel, recipe: Recipe) -> list[str]:
    settle_generation_config(model)
    config = saved_generation_config(model, recipe.generation)
    problem = None if config is None else _contradiction(config)
    if problem is None:
        return []
    return [
        f"the model's own generation settings contradict each other and are saved as they are:"
        f" {problem}"
    ]


def settle_generation_config(model: PreTrainedModel) -> None:
    """Make sure that the model's own generation settings can be saved, contradictions included.

    transformers refuses to save settings that contradict each other once a value of them has
    changed, and Trainer sets the special tokens. Published models have such settings.
    """
    own = model.generation_config
    if own is not None and _contradiction(own) is not None:
        model.generation_config = _saved_as_it_is(own)


def saved_generation_config(model: PreTrainedModel, settings: GenerationSettings) -> Any:
    """Return the generation settings that the trained model is saved with.

    A recipe that asks for greedy decoding takes the model's sampling settings away; one that gives
    sampling settings asks for sampling.

    Raises:
        RecipeError: the recipe's settings contradict, with each other or with the model's.
    """
    own = model.generation_config
    given = settings.model_dump(exclude_none=True)
    if own is None or not given:
        return own
    config = copy.deepcopy(own)
    if settings.do_sample is False or settings.temperature == 0:
        for name in SAMPLING:
            if hasattr(config, name):
                setattr(config, name, None)
        given = {name: value for name, value in given.items() if name not in SAMPLING}
        given["do_sample"] = False
    elif settings.do_sample is None and any(given.get(name) for name in SAMPLING):
        given["do_sample"] = True
    for name, value in given.items():
        setattr(config, name, value)
    problem = _contradiction(config)
    if problem is not None and _contradiction(own) is None:
        raise RecipeError(f"generation: these settings contradict: {problem}")
    return config


def _contradiction(config: GenerationConfig) -> str | None:
    """Return what transformers finds wrong with the settings, in one line."""
    from transformers import GenerationConfig

    from hfcli.foreign import cut

    try:
        GenerationConfig.validate(config, strict=True)  # not that of a subclass
    except (ValueError, TypeError) as e:
        found = [line.strip(" -") for line in str(e).splitlines() if line.strip().startswith("-")]
        return cut("; ".join(found) or str(e))
    return None


def _saved_as_it_is(own: GenerationConfig) -> GenerationConfig:
    from transformers import GenerationConfig

    class AsItIs(GenerationConfig):
        def validate(self, strict: Any = False, *args: Any, **others: Any) -> Any:
            return super().validate(False, *args, **others)  # others: of transformers after 5.5

    return AsItIs.from_dict(own.to_dict())
