"""`hfcli eval` of questions: the rooms that ask and that answer, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hfcli.evaluation.ask import Answer
    from hfcli.evaluation.run import EvalOptions
    from hfcli.evaluation.texts import Write
    from hfcli.recipe.questions import QuestionRecipe
    from hfcli.results import EvalResult, Listener
    from hfcli.tasks.generate_until import GenerateUntil


@dataclass(frozen=True)
class Asked:
    """What is asked, how it is started, and who is told."""

    recipe: QuestionRecipe
    options: EvalOptions
    listener: Listener


def recipe_of(
    name: str, flags: Mapping[str, Any], overrides: Sequence[str], listener: Listener
) -> QuestionRecipe:
    """The recipe that the flags of `hfcli eval` make.

    Raises:
        RecipeError, DataError: they do not make one; the template cannot be read.
    """
    from hfcli.cli.validate import read_text, stop_strings
    from hfcli.evaluation.question_target import question_recipe

    given = {
        "template": read_text(flags["template"]),
        "metrics": flags["metric"],
        "stop": list(stop_strings(flags["stop"])) or None,
    }
    return question_recipe(
        name=name,
        target=flags["target"],
        flags={**flags, **given},
        overrides=overrides,
        listener=listener,
        offline=flags["offline"],
    )


def ask_questions(asked: Asked) -> EvalResult:
    """The answers of the recipe's model, scored.

    Raises:
        HfcliError: see `hfcli.evaluation.ask`.
    """
    from hfcli.evaluation.ask import ask

    return ask(
        recipe=asked.recipe,
        answer=_answer(asked),
        listener=asked.listener,
        options=asked.options,
    )


def _answer(asked: Asked) -> Answer:
    from hfcli.evaluation.chosen import chosen_answers
    from hfcli.evaluation.texts import written_answers
    from hfcli.tasks.generate_until import GenerateUntil

    recipe = asked.recipe
    if isinstance(recipe.task, GenerateUntil):
        task = recipe.task
        return partial(
            written_answers, write=bulk_writer(task, asked), depends=lambda: _told(task, asked)
        )
    return partial(chosen_answers, recipe=recipe, options=asked.options, listener=asked.listener)


def _told(task: GenerateUntil, asked: Asked) -> dict[str, Any]:
    """What the texts of the recipe's model depend on, known before the model is loaded."""
    from hfcli.models.fingerprint import begin_fingerprint
    from hfcli.models.resolve import resolve_model

    recipe = asked.recipe
    source = resolve_model(
        recipe.model.name_or_path,
        revision=recipe.model.revision,
        offline=asked.options.offline,
    )
    told = task.model_dump(mode="json", exclude_none=True, exclude={"few_shot"})
    decoding = recipe.decoding().model_dump(mode="json")
    if decoding["do_sample"] is None:  # as another setting of sampling decides it
        decoding["do_sample"] = True
    return {
        "weights_sha256": begin_fingerprint(source)(),
        "settings": {
            "task": told,
            "decoding": decoding,
            "dtype": recipe.model.dtype,
            "seed": recipe.seed,
        },
    }


def bulk_writer(task: GenerateUntil, asked: Asked) -> Write:
    """`hfcli generate --input --output`, as an evaluation uses it."""
    from hfcli.device import resolve_device
    from hfcli.evaluation.texts import Written
    from hfcli.generation.bulk import generate_file
    from hfcli.generation.bulk_files import BulkFiles
    from hfcli.generation.loading import ModelChoice
    from hfcli.generation.manifest import read_manifest
    from hfcli.generation.prompts import PromptOptions
    from hfcli.generation.run import TextOptions

    recipe, options = asked.recipe, asked.options
    choice = ModelChoice(
        name=recipe.model.name_or_path,
        revision=recipe.model.revision,
        device=recipe.device,
        dtype=recipe.model.dtype,
        offline=options.offline,
    )

    def write(prompts: Path, texts: Path) -> Written:
        result = generate_file(
            files=BulkFiles(str(prompts), str(texts), overwrite=options.overwrite),
            choice=choice,
            settings=recipe.decoding(),
            options=TextOptions(
                stops=task.stop, prompt=PromptOptions(task.system, task.chat_template)
            ),
            seed=recipe.seed,
            listener=asked.listener,
            batch_size=recipe.evaluation.batch_size,
        )
        told = read_manifest(texts)
        return Written(
            model=result.model,
            revision=result.revision,
            device=str(resolve_device(recipe.device).device),
            weights_sha256=told["weights_sha256"],
            settings={k: told[k] for k in ("engine", "dtype", "settings", "options", "seed")},
        )

    return write
