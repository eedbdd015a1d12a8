"""The flags of `hfcli eval` -> a recipe of questions. Asks nothing itself.

A target, a run's folder or a recipe, says which model is asked; what is asked is named by flags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hfcli.errors import RecipeError, did_you_mean
from hfcli.evaluation.target import EvalFlags, resolve_target
from hfcli.models.resolve import resolve_model
from hfcli.recipe.load import Draft, validate_as
from hfcli.recipe.overrides import split_names
from hfcli.recipe.questions import QuestionRecipe
from hfcli.results import Listener, Note
from hfcli.tasks import question_classes, task_names

# Flag -> section and key. Those of other evaluations are here too, to be refused by their names.
KEYS: dict[str, tuple[str, str]] = {
    **{
        name: ("task", name)
        for name in (
            "prompt_column", "reference_column", "choices_column", "label_column", "text_column",
            "template", "few_shot", "num_fewshot", "stop", "system", "chat_template", "context",
            "stride", "windows",
        )
    },
    "max_new_tokens": ("generation", "max_new_tokens"),
    "temperature": ("generation", "temperature"),
    "metrics": ("evaluation", "metrics"),
    "batch_size": ("evaluation", "batch_size"),
    "split": ("evaluation", "split"),
    "seed": ("", "seed"),
    "device": ("", "device"),
}  # fmt: skip
ONLY_QUESTIONS = (
    "prompt_column", "reference_column", "choices_column", "template", "few_shot", "num_fewshot",
    "stop", "system", "chat_template", "max_new_tokens", "temperature", "seed",
)  # fmt: skip
Flags = Mapping[str, Any]


def question_task(flags: Flags) -> str | None:
    """The task, where it is one of questions: as named, or the only one that has a given column.

    Raises:
        RecipeError: an unknown name, or flags of questions without a task of questions.
    """
    known, name = question_classes(), flags["task"]
    given = [flag for flag in ONLY_QUESTIONS if flags.get(flag) not in (None, [], ())]
    if name is None:
        own = [n for n, c in known.items() if {*given} & {*c.model_fields} - _shared()]
        name = own[0] if len(own) == 1 else None
    if name is not None and name not in (*known, *task_names()):
        names = [*task_names(), *known]
        near = did_you_mean(name, names)
        tail = f"did you mean {near}?" if near else f"known: {', '.join(names)}"
        raise RecipeError(f"--task: unknown task {name!r}, {tail}")
    if name in known:
        return str(name)
    if given:
        flag = "--" + given[0].replace("_", "-")
        raise RecipeError(f"{flag} goes with questions: --task {' or --task '.join(known)}")
    return None


def question_recipe(
    *,
    name: str,
    target: Path | None,
    flags: Flags,
    overrides: Sequence[str],
    listener: Listener,
    offline: bool,
) -> QuestionRecipe:
    """What is asked of which model.

    Args:
        name: of the task.
        target: a run's folder or a recipe, for its model.
        flags: by the names in `KEYS`, and model, revision, data and column_names.
        overrides: keys of `QuestionRecipe`.
        listener: gets notes.
        offline: open no socket.

    Raises:
        RecipeError: no data, or anything that is wrong with flags and overrides.
        RunError: the folder holds no finished run.
    """
    if not flags["data"]:
        raise RecipeError(f"--task {name} needs --data FILE")
    model, revision = flags["model"], flags["revision"]
    if target is not None:
        chosen = EvalFlags(model=model, revision=revision)
        of_target = resolve_target(
            target=target, flags=chosen, overrides=[], listener=listener, offline=offline
        ).model
        model, revision = of_target.name_or_path, of_target.revision
    elif model is None:
        source = resolve_model(None, offline=offline)
        model = source.name
        if source.note:
            listener(Note(source.note))
    names = flags["column_names"]
    data: dict[str, Any] = {
        "task": {"name": name},
        "model": _given(name_or_path=model, revision=revision),
        "data": _given(
            test=list(flags["data"]),
            column_names=None if names is None else split_names(names, "--column-names"),
            encoding=flags.get("encoding"),
            on_bad_row=flags.get("on_bad_row"),
        ),
    }
    for flag, (section, key) in KEYS.items():
        value = flags.get(flag)
        if value not in (None, [], ()):
            (data.setdefault(section, {}) if section else data)[key] = value
    return validate_as(QuestionRecipe, Draft.from_flags(data, overrides))


def _shared() -> set[str]:
    """Keys that every task of questions has."""
    return set.intersection(*({*cls.model_fields} for cls in question_classes().values()))


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
