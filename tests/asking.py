"""Asking a model in a test, as `hfcli eval --task ...` does it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hfcli.cli.eval_request import EvalRequest
from hfcli.evaluation.prompt_tasks import evaluate_prompts
from hfcli.evaluation.run import EvalOptions
from hfcli.evaluation.target import Target, question_recipe
from hfcli.recipe.overrides import Override
from hfcli.recipe.questions import QuestionRecipe
from hfcli.results import EvalResult, Event


def ignore(_event: Event) -> None:
    """A listener that is not interested."""


def recipe_of(
    task: str, data: Path, *overrides: str, target: Path | None = None, **flags: Any
) -> QuestionRecipe:
    """What flags make of it."""
    model, template = flags.pop("model", None), flags.pop("template", None)
    values = EvalRequest(**flags).values()
    if template is not None:
        values.append(Override.of_flag("--template", "task.template", template))
    named = Target(path=target, model=model, data=(str(data),), values=tuple(values))
    return question_recipe(
        name=task,
        target=named,
        overrides=overrides,
        listener=ignore,
        offline=True,
    )


def asked(
    task: str,
    model: Path,
    data: Path,
    output: Path | None,
    *overrides: str,
    listener: Callable[[Event], None] = ignore,
    overwrite: bool = False,
    **flags: Any,
) -> EvalResult:
    """Ask the model the questions in `data`."""
    options = EvalOptions(output_dir=output, offline=True, overwrite=overwrite)
    recipe = recipe_of(task, data, *overrides, model=str(model), **flags)
    return evaluate_prompts(recipe=recipe, options=options, listener=listener)


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A jsonl file of these rows."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
