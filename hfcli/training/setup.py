"""A recipe -> everything a run needs, loaded: model, encoded rows, and what to tell about them.

Shared by training and by the plan of a run (`--dry-run`). Trains nothing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hfcli.data import cache
from hfcli.data.arrow_file import rows_hash
from hfcli.data.inputs import Unchanged, hashes_by_split, inputs_of
from hfcli.data.prepare import check_losses, prepare
from hfcli.data.splits import SPLIT_NAMES, Splits, load_splits
from hfcli.device import Placement, resolve_dtype
from hfcli.models.fingerprint import begin_fingerprint
from hfcli.models.freeze import freeze_layers
from hfcli.models.init_model import build_model
from hfcli.models.load import LoadedModel, ensure_padding, load_model
from hfcli.models.lora import add_lora
from hfcli.models.resolve import ModelSource, resolve_model
from hfcli.recipe.schema import DataSection, Recipe
from hfcli.tasks.base import Prepared, RowCounts, Task, Tools
from hfcli.tasks.labels import look_alikes


@dataclass(frozen=True)
class RunSetup:
    """A run before its first step.

    Args:
        load: loads the model anew, in its state before training.
        fingerprint: gives the SHA-256 of the model's files; None where it is built from scratch.
        validation: None where nothing is held out.
        notes: sentences about the data.
        cached: whether the rows were found encoded.
        inputs: the data files, as they were when they were read.
    """

    task: Task
    loaded: LoadedModel
    load: Callable[[], LoadedModel]
    fingerprint: Callable[[], str] | None
    train: Prepared
    validation: Prepared | None
    notes: list[str] = field(default_factory=list)
    cached: bool = False
    inputs: Unchanged = field(default_factory=lambda: Unchanged([]))


def set_up(*, recipe: Recipe, placement: Placement, offline: bool = False) -> RunSetup:
    """Read the data, load or build the model, and encode the rows.

    Args:
        recipe: validated, with `data.train`.
        placement: where the model goes.
        offline: open no socket.

    Raises:
        DataError, ModelError, RecipeError: see `hfcli.errors`.
    """
    source = _Source(recipe, offline)
    overrides = source.overrides()
    files = None
    if recipe.model.config is None:
        files = resolve_model(
            recipe.model.name_or_path, revision=recipe.model.revision, offline=offline
        )
    fingerprint = begin_fingerprint(files) if files else None
    load = functools.partial(_load, recipe, source, files, overrides, placement, offline)
    loaded = load()
    train = source.prepare("train", loaded)
    check_losses(train, recipe.data.max_dropped)
    validation = source.prepare("validation", loaded) if source.facts["validation"] else None
    notes = [*source.facts["notes"]]
    notes += [f"training data: {told}" for told in train.counts.sentences()]
    told = validation.counts.sentences() if validation else []
    notes += [f"validation data: {sentence}" for sentence in told]
    return RunSetup(
        recipe.task,
        loaded,
        load,
        fingerprint,
        train,
        validation,
        notes,
        not source.was_read,
        source.inputs,
    )


def commit_marks(section: DataSection) -> dict[str, str] | None:
    """What stands for the content of a Hub data set whose revision is a commit, which never
    changes: its rows are not fetched to be looked up. None for anything else.
    """
    commit = section.revision or ""
    if section.path is None or not re.fullmatch("[0-9a-f]{40}", commit):
        return None
    if Path(section.path).exists():
        return None  # a folder here has no commits
    return {name: f"{commit} {getattr(section, name)}" for name in SPLIT_NAMES}


class _Source:
    """The rows of a recipe: read only when what is made of them is not in the cache."""

    def __init__(self, recipe: Recipe, offline: bool) -> None:
        self.recipe = recipe
        self.offline = offline
        self.was_read = False

    @functools.cached_property
    def key(self) -> str | None:
        """Where in the cache the rows belong; None without one."""
        recipe = self.recipe
        if not recipe.data.cache:
            return None
        marks = commit_marks(recipe.data)
        if recipe.data.path is not None and marks is None:
            # The bytes of a Hub data set are not at hand; loading it from its cache is quick.
            marks = {name: rows_hash(rows) for name, rows in self.splits.by_name.items()}
        content = marks or hashes_by_split(recipe.data, self.inputs)
        return cache.rows_key(recipe.data, recipe.task, recipe.seed, content)

    @functools.cached_property
    def inputs(self) -> Unchanged:
        """The data files, as they were before anything was read."""
        return inputs_of(self.recipe.data)

    @functools.cached_property
    def splits(self) -> Splits:
        """All splits, read, from files that did not change meanwhile."""
        self.was_read = True
        recipe, inputs = self.recipe, self.inputs
        splits = load_splits(
            section=recipe.data, task=recipe.task, seed=recipe.seed, offline=self.offline
        )
        inputs.check()
        return splits

    @functools.cached_property
    def facts(self) -> dict[str, Any]:
        """What has to be known of the rows before they are encoded."""
        found = None if self.key is None else cache.read_facts(self.key)
        if found is not None:
            return found
        overrides = self.recipe.task.config_overrides(self.splits.get("train"))
        labels = list(overrides.get("id2label", {}).values())
        facts = {
            "overrides": overrides,
            "validation": "validation" in self.splits.by_name,
            "skipped": {
                name: [counts.skipped, counts.skipped_rows]
                for name, counts in self.splits.skipped.items()
            },
            "notes": [*self.splits.notes, *look_alikes(labels)],
        }
        if self.key is not None:
            cache.write_facts(self.key, facts)
        return facts

    def overrides(self) -> dict[str, Any]:
        """Configuration values that the training rows determine."""
        overrides = dict(self.facts["overrides"])
        if "id2label" in overrides:  # JSON has no whole numbers as keys
            overrides["id2label"] = {int(i): name for i, name in overrides["id2label"].items()}
        return overrides

    def prepare(self, split: str, loaded: LoadedModel) -> Prepared:
        recipe = self.recipe
        skipped, rows = self.facts["skipped"].get(split, (0, []))
        folder = None
        if self.key is not None:
            key = cache.features_key(self.key, split, loaded.tokenizer, loaded.model)
            folder = cache.cache_folder() / self.key / key
        return prepare(
            task=recipe.task,
            rows=lambda: self.splits.get(split),
            tools=Tools(
                loaded.tokenizer,
                loaded.model,
                recipe.data.on_overflow,
                recipe.data.on_bad_row == "skip",
                RowCounts(skipped=skipped, skipped_rows=list(rows)),
            ),
            train=split == "train",
            folder=folder,
        )


def _load(
    recipe: Recipe,
    source: _Source,
    files: ModelSource | None,
    overrides: dict[str, Any],
    placement: Placement,
    offline: bool,
) -> LoadedModel:
    from transformers import set_seed

    set_seed(recipe.seed)  # new weights are random
    task = recipe.task
    if files is None:
        loaded = build_model(
            section=recipe.model,
            task=task,
            texts=task.texts(source.splits.get("train")),
            device=placement.device,
            config_overrides=overrides,
            offline=offline,
        )
    else:
        loaded = load_model(
            source=files,
            task=task,
            dtype=resolve_dtype(recipe.model.dtype, placement.device),
            # Training keeps a model whole: Trainer and accelerate move and shard it.
            placement=Placement(placement.device),
            config_overrides=overrides,
            new_head=True,
        )
    task.fit_tokenizer(loaded.tokenizer)
    ensure_padding(loaded, task)
    if recipe.model.lora is not None:
        loaded = add_lora(loaded=loaded, section=recipe.model.lora, task=task)
    if recipe.model.freeze_layers:
        freeze_layers(model=loaded.model, count=recipe.model.freeze_layers)
    return loaded
