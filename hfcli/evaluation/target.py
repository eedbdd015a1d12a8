"""What the user named -> a recipe whose model is the one to score. Scores nothing itself.

A target is a finished run's folder, a recipe, or nothing, with `--model` and `--data` instead.
Flags are values of recipe keys, merged before the one validation that recipes go through. Prompt
tasks have a recipe of their own, made from flags; a target says which model gets the prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli.errors import RecipeError, RunError, did_you_mean
from hfcli.models.resolve import resolve_model
from hfcli.models.task import guess_task, task_settings
from hfcli.origins import as_typed
from hfcli.recipe.load import Draft, load_recipe, nearby, validate, validate_as
from hfcli.recipe.overrides import Override
from hfcli.recipe.questions import QuestionRecipe
from hfcli.recipe.schema import Recipe
from hfcli.results import Listener, Note
from hfcli.runfolder.names import RECIPE_FILE, RESULT_FILE
from hfcli.tasks import question_classes, task_names

# Keys that flags give to prompt tasks only.
ONLY_PROMPTS = frozenset({
    "task.prompt_column", "task.reference_column", "task.choices_column", "task.template",
    "task.few_shot", "task.num_fewshot", "task.stop", "task.system", "task.chat_template",
    "generation.max_new_tokens", "generation.temperature", "seed",
})  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What is scored, as it was named.

    Attributes:
        path: a run's folder or a recipe.
        model, revision: of the model, whatever the recipe builds or starts from.
        data: files, whatever the recipe's data are.
        task: name of the task, where there is no recipe.
        values: of recipe keys, each with its flag.
    """

    path: Path | None = None
    model: str | None = None
    revision: str | None = None
    data: tuple[str, ...] = ()
    task: str | None = None
    values: tuple[Override, ...] = ()

    def overrides(self) -> list[Override]:
        """Return all of it as values of recipe keys."""
        given = list(self.values)
        if self.model is not None:
            named = _given(name_or_path=self.model, revision=self.revision)
            given.insert(0, Override.of_flag("--model", "model", named))
        if self.data:
            given.insert(0, Override.of_flag("--data", "data", {"test": list(self.data)}))
            given.append(Override.of_flag("--split", "evaluation.split", "test"))
        return given


def resolve_target(
    *,
    target: Target,
    overrides: Sequence[str | Override],
    listener: Listener,
    offline: bool,
) -> Recipe:
    """Return the recipe to evaluate, its `model.name_or_path` being what is scored.

    Raises:
        RecipeError: nothing to evaluate was named or is there, or the recipe is wrong.
        RunError: the folder holds no finished run.
    """
    merged = [*target.overrides(), *overrides]
    path = target.path
    if path is None:
        return _from_flags(target, merged, listener, offline)
    if path.is_dir():
        return _from_run(path, target, merged)
    if not path.exists():
        other = f"for a model: hfcli eval --model {path} --data FILE"
        raise RecipeError(f"{path}: no such run or recipe", hint=nearby(path) or other)
    recipe = load_recipe(path, merged)
    run = recipe.output_dir
    if target.model is None and run is not None and (run / RESULT_FILE).is_file():
        listener(Note(f"evaluating the run this recipe made: {run}"))
        return load_recipe(path, [_model_override(run), *merged])
    if recipe.model.name_or_path is None:
        raise RunError(
            f"{run}: there is no finished run", hint=f"run `hfcli finetune {path}` first"
        )
    return recipe


def _from_run(folder: Path, target: Target, overrides: Sequence[str | Override]) -> Recipe:
    recipe = folder / RECIPE_FILE
    if not recipe.is_file():
        raise RunError(
            f"{folder}: was not written by hfcli finetune ({RECIPE_FILE} is missing)",
            hint=f"for any other model: hfcli eval --model {folder} --data FILE",
        )
    if not (folder / RESULT_FILE).is_file():
        raise RunError(
            f"{folder}: the run is not finished ({RESULT_FILE} is missing)",
            hint="`hfcli finetune RECIPE --resume` resumes it",
        )
    model = [] if target.model is not None else [_model_override(folder)]
    return load_recipe(recipe, [*model, *overrides])


def _model_override(folder: Path) -> Override:
    """The model section that scores this folder, and nothing else of the recipe's."""
    return Override(("model",), {"name_or_path": str(folder.absolute())}, str(folder))


def _from_flags(
    target: Target, overrides: Sequence[str | Override], listener: Listener, offline: bool
) -> Recipe:
    if not target.data:
        raise RecipeError(
            "nothing to evaluate: name a run's folder, a recipe, or --model and --data",
            hint="for example: hfcli eval --model bundled --data book.txt",
        )
    source = resolve_model(target.model, revision=target.revision, offline=offline)
    if source.note:
        listener(Note(source.note))
    task = target.task or guess_task(source)
    data: dict[str, Any] = {
        "task": {"name": task, **task_settings(source, task)},
        "model": {"name_or_path": target.model or source.name},
    }
    return validate(Draft.from_flags(data, overrides))


def question_task(target: Target) -> str | None:
    """Return the prompt task: as named, or the only one that has a given column; else None.

    Raises:
        RecipeError: an unknown name, or flags of prompt tasks without one.
    """
    known, name = question_classes(), target.task
    given = [one for one in target.values if one.key in ONLY_PROMPTS]
    if name is None:
        keys = {str(one.path[-1]) for one in given} - _shared()
        own = [task for task, cls in known.items() if keys & {*cls.model_fields}]
        name = own[0] if len(own) == 1 else None
    if name is not None and name not in (*known, *task_names()):
        names = [*task_names(), *known]
        near = did_you_mean(name, names)
        tail = f"did you mean {near}?" if near else f"known: {', '.join(names)}"
        raise RecipeError(f"{as_typed('--task')}: unknown task {name!r}, {tail}")
    if name in known:
        return name
    if given:
        tasks = " or --task ".join(known)
        raise RecipeError(f"{given[0].origin} goes with prompt tasks: --task {tasks}")
    return None


def question_recipe(
    *,
    name: str,
    target: Target,
    overrides: Sequence[str | Override],
    listener: Listener,
    offline: bool,
) -> QuestionRecipe:
    """Return the recipe of a prompt task.

    Args:
        name: of the task.
        target: its path, a run's folder or a recipe, gives the model.
        overrides: keys of `QuestionRecipe`, over the target's values.
        listener: gets notes.
        offline: open no socket.

    Raises:
        RecipeError: no data, or anything that is wrong with flags and overrides.
        RunError: the folder holds no finished run.
    """
    if not target.data:
        raise RecipeError(f"--task {name} needs --data FILE")
    model, revision = target.model, target.revision
    if target.path is not None:
        chosen = Target(path=target.path, model=model, revision=revision)
        of_target = resolve_target(
            target=chosen, overrides=[], listener=listener, offline=offline
        ).model
        model, revision = of_target.name_or_path, of_target.revision
    elif model is None:
        source = resolve_model(None, offline=offline)
        model = source.name
        if source.note:
            listener(Note(source.note))
    data: dict[str, Any] = {
        "task": {"name": name},
        "model": _given(name_or_path=model, revision=revision),
        "data": {"test": list(target.data)},
    }
    return validate_as(QuestionRecipe, Draft.from_flags(data, [*target.values, *overrides]))


def _shared() -> set[str]:
    """Keys that every prompt task has."""
    return set.intersection(*({*cls.model_fields} for cls in question_classes().values()))


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}
