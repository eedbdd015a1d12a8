"""Recipe file + overrides + swept keys -> the runs of a sweep, every one validated.

A swept value is an override, read as `--set` reads it; `a,b` gives two of them. Knows nothing
about how runs are run.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli.errors import RecipeError
from hfcli.recipe.load import dump_recipe, load_recipe
from hfcli.recipe.schema import Recipe
from hfcli.recipe.yaml_file import YamlError, parse_scalar, split_list

LONGEST_NAME = 120  # characters; file systems take 255 bytes, and some of them no more than 143
EXAMPLE = "--sweep training.learning_rate=5e-5,1e-4"
Setting = tuple[str, str]  # key, and value as it was typed


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep.

    Args:
        name: of its folder under the sweep's: what is swept, as it was typed.
        values: key -> value of what is swept.
        recipe: with the run's own output_dir.
    """

    name: str
    values: dict[str, Any]
    recipe: Recipe

    @property
    def folder(self) -> Path:
        """Where the run goes."""
        assert self.recipe.output_dir is not None, "load_sweep sets it"
        return self.recipe.output_dir


def load_sweep(
    path: Path, overrides: Sequence[str], sweeps: Sequence[str]
) -> tuple[Path, list[SweptRun]]:
    """Every combination of the swept values, merged and validated.

    Args:
        path: the recipe.
        overrides: `a.b=c`, the same for all runs.
        sweeps: `a.b=c,d`.

    Returns:
        The folder of the sweep, and its runs, the last key changing fastest.

    Raises:
        RecipeError: with every error of every combination, each once.
    """
    axes = _axes(sweeps, overrides)
    runs: list[SweptRun] = []
    errors: dict[str, RecipeError] = {}
    for settings in itertools.product(*axes):
        name = run_name(settings)
        try:
            recipe = load_recipe(path, overrides, [f"{key}={text}" for key, text in settings])
            folder = _folder(recipe)
        except RecipeError as e:
            errors[name] = e
            continue
        values = {key: parse_scalar(text) for key, text in settings}
        own = recipe.model_copy(update={"output_dir": folder / name})
        runs.append(SweptRun(name, values, own))
    if errors:
        raise _together(errors, len(errors) + len(runs))
    _check_distinct(runs)
    return runs[0].folder.parent, runs


def run_name(settings: Sequence[Setting]) -> str:
    """A folder name that says what is swept: `training.learning_rate=5e-4,seed=1`.

    Characters that a shell or a file system could take for something else become `_`; what is
    then not the whole text ends with its hash, so that two runs never share a folder.
    """
    text = ",".join(f"{key}={value}" for key, value in settings)
    safe = re.sub(r"[^A-Za-z0-9_.,=+-]", "_", text)
    if safe == text and len(text) <= LONGEST_NAME:
        return text
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{safe[: LONGEST_NAME - len(mark) - 1]}-{mark}"


def _axes(sweeps: Sequence[str], overrides: Sequence[str]) -> list[list[Setting]]:
    problems: list[str] = []
    axes: list[list[Setting]] = []
    taken = {override.partition("=")[0] for override in overrides}
    for sweep in sweeps:
        key, equals, text = sweep.partition("=")
        try:
            values = split_list(text)
        except YamlError as e:
            problems.append(f"--sweep {sweep}: {e}")
            continue
        if not equals or not values:
            problems.append(f"--sweep {sweep}: a sweep is key=value,value, such as {EXAMPLE[8:]}")
        elif key == "output_dir":
            problems.append("--sweep output_dir: every run has its own folder under output_dir")
        elif other := next((other for other in taken if _overlap(key, other)), None):
            told = "is set twice" if other == key else f"and {other} set the same key"
            problems.append(f"--sweep {key}: {told}")
        taken.add(key)
        axes.append([(key, value) for value in values])
    if problems:
        raise RecipeError("\n".join(problems))
    return axes


def _overlap(key: str, other: str) -> bool:
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _folder(recipe: Recipe) -> Path:
    problems = []
    if recipe.output_dir is None:
        problems.append("the recipe names no output_dir (-o FOLDER sets it)")
    if not recipe.data.train:
        problems.append("finetune needs data.train")
    if problems or recipe.output_dir is None:
        raise RecipeError("\n".join(problems))
    return recipe.output_dir


def _together(errors: dict[str, RecipeError], n_runs: int) -> RecipeError:
    """All lines, each once; of one that not every run has, the first run that has it."""
    runs_of: dict[str, list[str]] = {}
    for name, error in errors.items():
        for line in error.message.splitlines():
            runs_of.setdefault(line, []).append(name)
    lines = [
        line if len(names) == n_runs or line.startswith("--sweep") else f"{line} (run {names[0]})"
        for line, names in runs_of.items()
    ]
    return RecipeError("\n".join(lines), hint=next(iter(errors.values())).hint)


def _check_distinct(runs: Sequence[SweptRun]) -> None:
    """Two runs that differ in name only would count as two seeds, or as two settings."""
    seen: dict[str, str] = {}
    problems = []
    for run in runs:
        same = run.recipe.model_copy(update={"output_dir": None})
        first = seen.setdefault(dump_recipe(same), run.name)
        if first != run.name or sum(other.name == run.name for other in runs) > 1:
            problems.append(f"--sweep: {first} and {run.name} are the same run")
    if problems:
        raise RecipeError("\n".join(dict.fromkeys(problems)))
