"""`hfcli eval` of prompt tasks: evaluation gets the engine of `hfcli generate`."""

from __future__ import annotations

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


def ask_questions(
    *, recipe: QuestionRecipe, options: EvalOptions, listener: Listener
) -> EvalResult:
    """Return the answers of the recipe's model, scored.

    Raises:
        HfcliError: see `hfcli.evaluation.ask`.
    """
    from hfcli.evaluation.ask import ask

    answer = _answer(recipe, options, listener)
    return ask(recipe=recipe, answer=answer, listener=listener, options=options)


def _answer(recipe: QuestionRecipe, options: EvalOptions, listener: Listener) -> Answer:
    from hfcli.evaluation.chosen import chosen_answers
    from hfcli.evaluation.texts import written_answers
    from hfcli.tasks.generate_until import GenerateUntil

    task = recipe.task
    if isinstance(task, GenerateUntil):
        return partial(
            written_answers,
            write=bulk_writer(task, recipe, options, listener),
            depends=lambda: _told(task, recipe, options),
        )
    return partial(chosen_answers, recipe=recipe, options=options, listener=listener)


def _told(task: GenerateUntil, recipe: QuestionRecipe, options: EvalOptions) -> dict[str, Any]:
    """What the texts of the recipe's model depend on, known before the model is loaded."""
    from hfcli.models.fingerprint import begin_fingerprint
    from hfcli.models.resolve import resolve_model

    source = resolve_model(
        recipe.model.name_or_path,
        revision=recipe.model.revision,
        offline=options.offline,
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


def bulk_writer(
    task: GenerateUntil, recipe: QuestionRecipe, options: EvalOptions, listener: Listener
) -> Write:
    """Return the bulk run of prompts that `hfcli generate --input --output` is."""
    from hfcli.device import resolve_device
    from hfcli.evaluation.texts import Written
    from hfcli.generation.bulk import generate_file
    from hfcli.generation.bulk_files import BulkFiles
    from hfcli.generation.loading import ModelChoice
    from hfcli.generation.manifest import read_manifest
    from hfcli.generation.prompts import PromptOptions
    from hfcli.generation.run import TextOptions

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
            listener=listener,
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
