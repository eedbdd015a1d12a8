"""Recipe file + overrides + swept keys -> the runs of a sweep, every one validated.

A swept value is an override, read as `--set` reads it; `a,b` gives two of them. Knows nothing
about how runs are run.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli.errors import RecipeError
from hfcli.origins import as_typed
from hfcli.recipe.load import Draft, read_recipe, validate
from hfcli.recipe.overrides import Override, as_overrides, parse_override
from hfcli.recipe.schema import Recipe
from hfcli.recipe.yaml_file import YamlError, split_list

MOST_RUNS = 5_000
LONGEST_NAME = 120  # characters; file systems take 255 bytes, and some of them no more than 143
FLAG = "--sweep"
EXAMPLE = "training.learning_rate=5e-5,1e-4"
Setting = tuple[str, str]  # key, and value as it was typed
Axis = list[tuple[Setting, Override]]


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
        """Return the folder of the run."""
        assert self.recipe.output_dir is not None, "load_sweep sets it"
        return self.recipe.output_dir


def load_sweep(
    recipe: Path | Draft, overrides: Sequence[str | Override], sweeps: Sequence[str]
) -> tuple[Path, list[SweptRun]]:
    """Return every combination of the swept values, merged and validated.

    Args:
        recipe: its file, or what was read of it.
        overrides: `a.b=c` or values of flags, the same for all runs.
        sweeps: `a.b=c,d`.

    Returns:
        The folder of the sweep, and its runs, the last key changing fastest.

    Raises:
        RecipeError: with every error of every combination, each once.
    """
    same = as_overrides(overrides)
    axes = _axes(sweeps, same)
    draft = (recipe if isinstance(recipe, Draft) else read_recipe(recipe)).merged(same)
    runs: list[SweptRun] = []
    errors: dict[str, RecipeError] = {}
    for chosen in itertools.product(*axes):
        name = run_name([setting for setting, _ in chosen])
        try:
            one = validate(draft.merged([override for _, override in chosen]))
            folder = _folder(one)
        except RecipeError as e:
            errors[name] = e
            continue
        values = {override.key: override.value for _, override in chosen}
        own = one.model_copy(update={"output_dir": folder / name})
        runs.append(SweptRun(name, values, own))
    if errors:
        raise _together(errors, len(errors) + len(runs))
    _check_distinct(runs)
    return runs[0].folder.parent, runs


def run_name(settings: Sequence[Setting]) -> str:
    """Return a folder name with the swept values: `training.learning_rate=5e-4,seed=1`.

    Characters that a shell or a file system could take for something else become `_`; what is
    then not the whole text ends with its hash, so that two runs never share a folder.
    """
    text = ",".join(f"{key}={value}" for key, value in settings)
    safe = re.sub(r"[^A-Za-z0-9_.,=+-]", "_", text)
    if safe == text and len(text) <= LONGEST_NAME:
        return text
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[: LONGEST_NAME - len(mark) - 1]}-{mark}"


def _axes(sweeps: Sequence[str], overrides: Sequence[Override]) -> list[Axis]:
    flag = as_typed(FLAG)
    problems: list[str] = []
    axes: list[Axis] = []
    taken = {override.key for override in overrides}
    for sweep in sweeps:
        key, equals, text = sweep.partition("=")
        try:
            values = split_list(text)
        except YamlError as e:
            problems.append(f"{flag} {sweep}: {e}")
            continue
        if not equals or not values:
            problems.append(f"{flag} {sweep}: a sweep is key=value,value, such as {EXAMPLE}")
        elif key == "output_dir":
            problems.append(f"{flag} output_dir: every run has its own folder under output_dir")
        elif other := next((other for other in taken if _overlap(key, other)), None):
            problem = "is set twice" if other == key else f"and {other} set the same key"
            problems.append(f"{flag} {key}: {problem}")
        taken.add(key)
        axes.append([((key, value), _swept(key, value, problems)) for value in values])
    if problems:
        raise RecipeError(problems)
    n_runs = math.prod(map(len, axes))
    if n_runs > MOST_RUNS:
        raise RecipeError(f"{flag}: {n_runs:,} runs, more than {MOST_RUNS:,}")
    return axes


def _swept(key: str, value: str, problems: list[str]) -> Override:
    try:
        return parse_override(f"{key}={value}", as_typed(FLAG))
    except RecipeError as e:
        problems += e.lines
        return Override((key,), None, as_typed(FLAG))


def _overlap(key: str, other: str) -> bool:
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _folder(recipe: Recipe) -> Path:
    problems = []
    if recipe.output_dir is None:
        problems.append("the recipe names no output_dir (-o FOLDER sets it)")
    if not recipe.data.train:
        problems.append("finetune needs data.train")
    if problems or recipe.output_dir is None:
        raise RecipeError(problems)
    return recipe.output_dir


def _together(errors: dict[str, RecipeError], n_runs: int) -> RecipeError:
    """All lines, each once; of one that not every run has, the first run that has it."""
    runs_of: dict[str, list[str]] = {}
    for name, error in errors.items():
        for line in error.lines:
            runs_of.setdefault(line, []).append(name)
    lines = [
        line
        if len(names) == n_runs or line.startswith(as_typed(FLAG))
        else f"{line} (run {names[0]})"
        for line, names in runs_of.items()
    ]
    return RecipeError(lines, hint=next(iter(errors.values())).hint)


def _check_distinct(runs: Sequence[SweptRun]) -> None:
    """Two runs that differ in name only would count as two seeds, or as two settings."""
    seen: dict[str, str] = {}
    named = Counter(run.name for run in runs)
    problems = []
    for run in runs:
        same = run.recipe.model_copy(update={"output_dir": None})
        first = seen.setdefault(repr(same.model_dump()), run.name)
        if first != run.name or named[run.name] > 1:
            problems.append(f"{as_typed(FLAG)}: {first} and {run.name} are the same run")
    if problems:
        raise RecipeError(list(dict.fromkeys(problems)))
