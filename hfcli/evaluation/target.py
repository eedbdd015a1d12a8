"""What the user named -> a recipe whose model is the one to score. Scores nothing itself.

A target is a finished run's folder, a recipe, or nothing, with `--model` and `--data` instead.
Flags are merged into plain data before the one validation that recipes go through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli.errors import HfcliError, RecipeError, RunError
from hfcli.models.resolve import resolve_model
from hfcli.models.task import guess_task, task_settings
from hfcli.recipe.load import Draft, load_recipe, nearby, validate
from hfcli.recipe.overrides import Override, split_names
from hfcli.recipe.schema import Recipe
from hfcli.results import Listener, Note

RECIPE_FILE = "recipe.yaml"
RESULT_FILE = "result.json"
FLAGS = {
    "task.text_column": "--text-column",
    "task.label_column": "--label-column",
    "task.context": "--context",
    "task.stride": "--stride",
    "task.windows": "--windows",
    "evaluation.split": "--split",
    "evaluation.metrics": "--metric",
    "evaluation.batch_size": "--batch-size",
    "device": "--device",
    "model": "--model",
    "model.dtype": "--dtype",
    "data": "--data",
    "data.column_names": "--column-names",
    "data.encoding": "--encoding",
    "data.on_bad_row": "--on-bad-row",
}


@dataclass(frozen=True)
class EvalFlags:
    """The flags of `hfcli eval`; None means not given."""

    model: str | None = None
    revision: str | None = None
    data: tuple[str, ...] = ()
    task: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    column_names: str | None = None
    split: str | None = None
    metrics: tuple[str, ...] = ()
    batch_size: int | None = None
    device: str | None = None
    dtype: str | None = None
    context: int | None = None
    stride: int | None = None
    windows: str | None = None
    encoding: str | None = None
    on_bad_row: str | None = None

    def overrides(self) -> list[Override]:
        """The flags as values of recipe keys."""
        values: dict[str, Any] = {
            "task.text_column": self.text_column,
            "task.label_column": self.label_column,
            "evaluation.split": self.split,
            "evaluation.metrics": list(self.metrics) if self.metrics else None,
            "evaluation.batch_size": self.batch_size,
            "device": self.device,
            "task.context": self.context,
            "task.stride": self.stride,
            "task.windows": self.windows,
        }
        if self.model is not None:
            # Whatever the recipe builds or starts from, this is what is scored.
            values["model"] = self.model_value(self.model)
        elif self.dtype is not None:
            values["model.dtype"] = self.dtype
        if self.data:
            # The data named here is what is scored, whatever the recipe had.
            values |= {"data": {"test": list(self.data)}, "evaluation.split": "test"}
        if self.column_names is not None:
            values["data.column_names"] = split_names(self.column_names, "--column-names")
        values |= {"data.encoding": self.encoding, "data.on_bad_row": self.on_bad_row}
        return [
            Override.of_flag(FLAGS[key], key, value)
            for key, value in values.items()
            if value is not None
        ]

    def model_value(self, name: str) -> dict[str, str]:
        """The model section that scores the model `name`, and nothing else of a recipe's."""
        revision = self.revision if name == self.model else None
        named = {"name_or_path": name, "revision": revision, "dtype": self.dtype}
        return {k: v for k, v in named.items() if v is not None}

    @contextmanager
    def named_as_typed(self, *, recipe: bool) -> Iterator[None]:
        """Errors that name a key name its flag: alone where it was typed, else beside the key.

        Args:
            recipe: there is one, so that a value may stand under its key.
        """
        typed = {override.key for override in self.overrides()}

        def named(found: re.Match[str]) -> str:
            key = found[0]
            return FLAGS[key] if key in typed or not recipe else f"{key} ({FLAGS[key]})"

        keys = "|".join(re.escape(key) for key in FLAGS if "." in key)
        pattern = re.compile(rf"(?<![\w.])(?:{keys})(?![\w.]*\w)")
        try:
            yield
        except HfcliError as e:
            e.lines = [pattern.sub(named, line) for line in e.lines]
            e.hint = e.hint and pattern.sub(named, e.hint)
            raise


def resolve_target(
    *,
    target: Path | None,
    flags: EvalFlags,
    overrides: Sequence[str | Override],
    listener: Listener,
    offline: bool,
) -> Recipe:
    """The recipe to evaluate, its `model.name_or_path` being what is scored.

    Raises:
        RecipeError: nothing to evaluate was named or is there, or the recipe is wrong.
        RunError: the folder holds no finished run.
    """
    merged: list[str | Override] = [*flags.overrides(), *overrides]
    if target is None:
        return _from_flags(flags, merged, listener, offline)
    if target.is_dir():
        return _from_run(target, flags, merged)
    if not target.exists():
        other = f"for a model: hfcli eval --model {target} --data FILE"
        raise RecipeError(f"{target}: no such run or recipe", hint=nearby(target) or other)
    recipe = load_recipe(target, merged)
    run = recipe.output_dir
    if flags.model is None and run is not None and (run / RESULT_FILE).is_file():
        listener(Note(f"evaluating the run this recipe made: {run}"))
        return load_recipe(target, [*merged, _model_override(run, flags)])
    if recipe.model.name_or_path is None:
        raise RunError(f"{run}: holds no finished run", hint=f"run `hfcli finetune {target}` first")
    return recipe


def _from_run(folder: Path, flags: EvalFlags, overrides: Sequence[str | Override]) -> Recipe:
    recipe = folder / RECIPE_FILE
    if not recipe.is_file():
        raise RunError(
            f"{folder}: was not written by hfcli finetune (no {RECIPE_FILE})",
            hint=f"for any other model: hfcli eval --model {folder} --data FILE",
        )
    if not (folder / RESULT_FILE).is_file():
        raise RunError(
            f"{folder}: the run is not finished (no {RESULT_FILE})",
            hint="go on with `hfcli finetune RECIPE --resume`",
        )
    model = [] if flags.model is not None else [_model_override(folder, flags)]
    return load_recipe(recipe, [*overrides, *model])


def _model_override(folder: Path, flags: EvalFlags) -> Override:
    return Override.of_flag("--set model", "model", flags.model_value(str(folder.absolute())))


def _from_flags(
    flags: EvalFlags, overrides: Sequence[str | Override], listener: Listener, offline: bool
) -> Recipe:
    if not flags.data:
        raise RecipeError(
            "nothing to evaluate: name a run's folder, a recipe, or --model and --data",
            hint="for example: hfcli eval --model bundled --data book.txt",
        )
    source = resolve_model(flags.model, revision=flags.revision, offline=offline)
    if source.note:
        listener(Note(source.note))
    task = flags.task or guess_task(source)
    data: dict[str, Any] = {
        "task": {"name": task, **task_settings(source, task)},
        "model": {"name_or_path": flags.model or source.name},
    }
    return validate(Draft.from_flags(data, overrides))
