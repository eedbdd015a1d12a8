"""A recipe's model over a split, by the forward pass of its task."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.data.cache import tokenizer_hash
from hfcli.data.inputs import inputs_of
from hfcli.data.prepare import prepare
from hfcli.data.splits import load_splits
from hfcli.device import resolve_device, resolve_dtype
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.evaluation.measure import compute, loss, score_intervals
from hfcli.evaluation.predictions import Prediction, data_hash, metric_inputs, predictions
from hfcli.evaluation.run import (
    EvalOptions,
    Facts,
    Scorer,
    are_shipped,
    default_folder,
    journal,
    load_metrics,
    run_evaluation,
)
from hfcli.fast.decoders import whole_texts
from hfcli.fast.linear import PrepackedWeights
from hfcli.fast.memory import retain
from hfcli.fast.prepared import PreparedModel
from hfcli.fast.startup import DeferredImports, restore_imports
from hfcli.models.fingerprint import begin_fingerprint
from hfcli.models.load import ReadableModel, ensure_filler, ensure_pad_token, load_model
from hfcli.models.options import LoadOptions
from hfcli.models.resolve import resolve_model
from hfcli.recipe.schema import DataSection, Recipe
from hfcli.results import EvalResult, Listener
from hfcli.tasks.base import RowCounts, Tools
from hfcli.tasks.scoring import reduce_all

if TYPE_CHECKING:
    from datasets import Dataset

ROWS_AT_ONCE = 16


def evaluate(*, recipe: Recipe, listener: Listener, options: EvalOptions) -> EvalResult:
    """Score the recipe's model on its test split, or validation, or `evaluation.split`.

    Args:
        recipe: validated; `model.name_or_path` is the model that is scored.
        listener: gets notes and progress.
        options: how it is started.

    Raises:
        DataError, ModelError, RunError: see `hfcli.errors`.
    """
    scorer = ForwardScorer(recipe, options)
    try:
        return run_evaluation(scorer, options=options, listener=listener)
    finally:
        restore_imports()


@dataclass(frozen=True)
class ScoredModel:
    """A model and how it is used.

    Args:
        loaded: the model, its tokenizer and its files.
        fingerprint: waits for the hash of the files, and gives it.
        rows_at_once: most rows of a batch.
        tokens_at_once: most tokens of a batch; None: what the task says.
    """

    loaded: ReadableModel
    fingerprint: Callable[[], str]
    rows_at_once: int
    tokens_at_once: int | None = None


class ForwardScorer(Scorer):
    """Scores of a split by the task's own forward pass."""

    def __init__(self, recipe: Recipe, options: EvalOptions) -> None:
        super().__init__()
        self.recipe = recipe
        self.options = options

    def read_data(self) -> tuple[Path, str, str]:
        recipe, task = self.recipe, self.recipe.task
        self.split, self.rows, self.notes, self.skipped = _rows(recipe, self.options.offline)
        names = recipe.evaluation.metrics or list(task.eval_metrics())
        self.metrics = load_metrics(names, self.options, "loss")
        # Those that the template refuses are among the predictions.
        self.unread = self.skipped.skipped
        self.model = load_scored(
            recipe, offline=self.options.offline, defer_imports=are_shipped(self.metrics)
        )
        self.data = _describe(recipe.data, self.split)
        data = _data_name(recipe)
        inside = self.split if recipe.data.train else data
        folder = default_folder(str(recipe.model.name_or_path), inside, data)
        return folder, self.model.loaded.source.name, self.data

    def key(self) -> Mapping[str, Any]:
        self._key = key_of(self.recipe, self.model, self.rows)
        return self._key

    def found(self, folder: Path) -> None:
        self.notes += self.skipped.sentences()
        super().found(folder)

    @contextlib.contextmanager
    def scored(
        self, folder: EvaluationFolder, listener: Listener
    ) -> Iterator[Iterator[Prediction]]:
        task, loaded, data = self.recipe.task, self.model.loaded, self.recipe.data
        skips = data.on_bad_row == "skip"
        tools = Tools(loaded.tokenizer, loaded.model, data.on_overflow, skips, self.skipped)
        prepared = prepare(task=task, rows=lambda: self.rows, tools=tools, train=False)
        scoring = task.describe_scoring(tools)
        if scoring:
            self.notes.append("scoring: " + ", ".join(f"{k} {v}" for k, v in scoring.items() if v))
        self.notes += prepared.counts.sentences()
        with journal(folder, len(prepared.features), self.notes, listener) as (done, keep):
            reduced = reduce_all(
                task=task,
                model=loaded.model,
                prepared=prepared,
                batch_size=self.model.rows_at_once,
                tokens_at_once=self.model.tokens_at_once,
                pad_token_id=int(loaded.tokenizer.pad_token_id),
                done=dict(done),
                on_batch=keep,
            )
            yield predictions(task=task, rows=self.rows, prepared=prepared, reduced=reduced)

    def scores(self, rows: Sequence[Prediction]) -> tuple[dict[str, Any], dict[str, Any]]:
        restore_imports()  # metrics use scipy in earnest
        labels = self.recipe.task.label_names(self.model.loaded.model)
        inputs = metric_inputs(rows, None if self.recipe.task.has_units else labels)
        known = {"labels": list(range(len(labels or ())))}
        values = compute(self.metrics, inputs, known)
        seed = self.recipe.seed
        intervals = score_intervals(names=values, inputs=inputs, options=known, seed=seed)
        return {**loss(inputs), **values}, intervals

    def facts(self) -> Facts:
        loaded, data = self.model.loaded, self.recipe.data
        return Facts(
            task=self.recipe.task.name,
            model=loaded.source.name,
            revision=loaded.source.revision,
            data=self.data,
            device=str(loaded.model.device),
            key=self._key,
            split=self.split if data.train or data.path else None,
            labels=self.recipe.task.label_names(loaded.model),
            unread=self.unread,
            skipped_rows=self.skipped.skipped_rows,
        )


def load_scored(recipe: Recipe, *, offline: bool, defer_imports: bool) -> ScoredModel:
    """Load the recipe's model.

    Float32 is left as transformers computes it, so that scores are those of training to the last
    digit; bfloat16 is asked for by who wants speed.

    Args:
        recipe: validated.
        offline: open no socket.
        defer_imports: transformers may be imported without parts that scoring never uses.

    Raises:
        ModelError, RunError: see `hfcli.errors`.
    """
    source = resolve_model(
        recipe.model.name_or_path, revision=recipe.model.revision, offline=offline
    )
    fingerprint = begin_fingerprint(source)
    by_peft = source.adapter_config() is not None
    if defer_imports and recipe.device in ("auto", "cpu") and not by_peft:
        DeferredImports().prepare()
    placement = resolve_device(recipe.device)
    if placement.device.type == "cpu":
        retain()
    loaded = load_model(
        source=source,
        task=recipe.task,
        dtype=resolve_dtype(recipe.model.dtype, placement.device),
        placement=placement,
        options=LoadOptions(),
    )
    recipe.task.fit_tokenizer(loaded.tokenizer)
    if recipe.task.generates:
        ensure_filler(loaded)
    else:
        ensure_pad_token(loaded)
    rows = recipe.evaluation.batch_size
    packing = PrepackedWeights()
    if str(loaded.model.dtype) == "torch.bfloat16" and packing.fits(loaded.model):
        prepared = PreparedModel.of(loaded)
        installed, _reason = whole_texts.install(prepared)
        if packing.refusal(placement.device.type) is None:
            packing.prepare(prepared)
        if installed:
            tokens = whole_texts.TOKENS
            return ScoredModel(prepared, fingerprint, rows or tokens, tokens)
        return ScoredModel(prepared, fingerprint, rows or ROWS_AT_ONCE)
    return ScoredModel(loaded, fingerprint, rows or ROWS_AT_ONCE)


def key_of(recipe: Recipe, model: ScoredModel, rows: Dataset) -> dict[str, Any]:
    """Return everything that can change a prediction, by content."""
    task, loaded = recipe.task, model.loaded
    tools = Tools(loaded.tokenizer, loaded.model, recipe.data.on_overflow)
    return {
        "weights_sha256": model.fingerprint(),
        "data_sha256": data_hash(rows),
        "settings": {
            "tokenizer_sha256": tokenizer_hash(loaded.tokenizer),
            "task": task.model_dump(mode="json", exclude_none=True),
            "scoring": task.describe_scoring(tools),
            "labels": task.label_names(loaded.model),
            "on_overflow": recipe.data.on_overflow,
            "dtype": str(loaded.model.dtype).removeprefix("torch."),
            "device": loaded.model.device.type,
            "batch_size": model.rows_at_once,
        },
    }


def _rows(recipe: Recipe, offline: bool) -> tuple[str, Dataset, list[str], RowCounts]:
    data = recipe.data
    split = recipe.evaluation.split or ("test" if data.test else "validation")
    # Only what the split is made from is read.
    needed = {"train", "validation"} if split == "validation" and not data.validation else {split}
    if split == "train" and not data.validation:
        needed = {"train"}
    section = data.model_copy(
        update={n: [] for n in ("train", "validation", "test") if n not in needed}
    )
    inputs = inputs_of(section)
    splits = load_splits(section=section, task=recipe.task, seed=recipe.seed, offline=offline)
    inputs.check()
    skipped = splits.skipped.get(split) or splits.skipped["train"]  # it was made from these
    return split, splits.get(split), list(splits.notes), skipped


def _data_name(recipe: Recipe) -> str:
    data = recipe.data
    first = next(name for name in (*data.test, *data.validation, *data.train))
    return str(data.path or Path(first).stem).replace(os.sep, "-")


def _describe(section: DataSection, split: str) -> str:
    names = getattr(section, split) or section.train
    if section.path is not None:
        return f"{section.path}{f'/{section.name}' if section.name else ''} [{'+'.join(names)}]"
    return ", ".join(names)
