"""A recipe -> the scores of its model on one split, computed by `evaluate` modules."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hfcli.data.prepare import prepare
from hfcli.data.splits import load_splits
from hfcli.device import resolve_device, resolve_dtype
from hfcli.errors import DataError
from hfcli.metrics import shipped_metrics
from hfcli.metrics.modules import load_module
from hfcli.models.load import LoadedModel, ensure_pad_token, load_model
from hfcli.models.resolve import resolve_model
from hfcli.recipe.schema import DataSection, Recipe
from hfcli.results import EvalResult, Listener, Note
from hfcli.tasks.base import Scores, Task, Tools
from hfcli.tasks.scoring import score

if TYPE_CHECKING:
    from datasets import Dataset


def evaluate(*, recipe: Recipe, listener: Listener, offline: bool = False) -> EvalResult:
    """Score the recipe's model on its test split, or validation, or `evaluation.split`.

    Args:
        recipe: validated; `model.name_or_path` is the model that is scored.
        listener: gets notes and progress.
        offline: open no socket.

    Raises:
        DataError, ModelError, RunError: see `hfcli.errors`.
    """
    task = recipe.task
    split, rows, notes = _rows(recipe, offline)
    metrics = recipe.evaluation.metrics or list(task.metrics())
    modules = {name: load_module(name, offline=offline) for name in metrics}
    loaded = _load(recipe, task, offline)
    tools = Tools(loaded.tokenizer, loaded.model, recipe.data.on_overflow)
    prepared = prepare(task=task, rows=lambda: rows, tools=tools, train=False)
    notes += prepared.counts.sentences()
    for note in notes:
        listener(Note(note))
    start = time.perf_counter()
    scores = score(
        task=task,
        model=loaded.model,
        prepared=prepared,
        batch_size=recipe.evaluation.batch_size,
        pad_token_id=int(loaded.tokenizer.pad_token_id),
    )
    seconds = time.perf_counter() - start
    return EvalResult(
        task=task.name,
        model=loaded.source.name,
        revision=loaded.source.revision,
        data=_describe(recipe.data, split),
        split=split,
        n_rows=len(rows),
        metrics={"loss": scores.loss, **_compute(modules, scores)},
        labels=scores.labels,
        seconds=seconds,
        device=str(loaded.model.device),
        notes=notes,
    )


def _rows(recipe: Recipe, offline: bool) -> tuple[str, Dataset, list[str]]:
    data = recipe.data
    split = recipe.evaluation.split or ("test" if data.test else "validation")
    # Only what the split is made from is read.
    needed = {"train", "validation"} if split == "validation" and not data.validation else {split}
    if split == "train" and not data.validation:
        needed = {"train"}
    section = data.model_copy(
        update={n: [] for n in ("train", "validation", "test") if n not in needed}
    )
    splits = load_splits(section=section, task=recipe.task, seed=recipe.seed, offline=offline)
    return split, splits.get(split), splits.notes


def _load(recipe: Recipe, task: Task, offline: bool) -> LoadedModel:
    placement = resolve_device(recipe.device)
    source = resolve_model(
        recipe.model.name_or_path, revision=recipe.model.revision, offline=offline
    )
    loaded = load_model(
        source=source,
        task=task,
        dtype=resolve_dtype(recipe.model.dtype, placement.device),
        placement=placement,
    )
    loaded.tokenizer.padding_side = task.padding_side
    ensure_pad_token(loaded)
    return loaded


def _compute(modules: dict[str, Any], scores: Scores) -> dict[str, Any]:
    """Every module's values; a module that returns several gets them all in."""
    values: dict[str, Any] = {}
    for name, module in modules.items():
        metric = shipped_metrics().get(name)
        wanted = list(metric.inputs) if metric else list(module.features)
        missing = [key for key in wanted if key not in scores.inputs]
        if missing:
            raise DataError(
                f"metric {name} reads {', '.join(missing)}, which this task does not give",
                hint=f"it gives {', '.join(scores.inputs)}",
            )
        options = {key: scores.options[key] for key in (metric.options if metric else ())}
        values |= module.compute(**{key: scores.inputs[key] for key in wanted}, **options)
    return values


def _describe(section: DataSection, split: str) -> str:
    names = getattr(section, split) or section.train
    if section.path is not None:
        return f"{section.path}{f'/{section.name}' if section.name else ''} [{'+'.join(names)}]"
    return ", ".join(names)
