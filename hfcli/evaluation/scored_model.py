"""A recipe's model, loaded for scoring, and what its scores depend on.

Knows nothing about rows, but that there are some.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfcli.data.cache import tokenizer_hash
from hfcli.device import resolve_device, resolve_dtype
from hfcli.evaluation.outcomes import data_hash
from hfcli.fast.decoders import whole_texts
from hfcli.fast.linear import PrepackedWeights
from hfcli.fast.memory import retain
from hfcli.fast.prepared import PreparedModel
from hfcli.fast.startup import DeferredImports
from hfcli.models.fingerprint import begin_fingerprint
from hfcli.models.load import ReadableModel, ensure_filler, ensure_pad_token, load_model
from hfcli.models.options import LoadOptions
from hfcli.models.resolve import resolve_model
from hfcli.recipe.schema import Recipe
from hfcli.tasks.base import Tools

if TYPE_CHECKING:
    from datasets import Dataset

ROWS_AT_ONCE = 16


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


def told_of(recipe: Recipe, model: ScoredModel, rows: Dataset) -> dict[str, Any]:
    """Everything that can change a prediction, by content."""
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
