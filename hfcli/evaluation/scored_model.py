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
from hfcli.fast.blank import nothing_drawn
from hfcli.fast.decoders import whole_texts
from hfcli.fast.linear import can_prepack, prepack
from hfcli.fast.memory import keep_freed_memory
from hfcli.fast.startup import import_leanly
from hfcli.models.fingerprint import begin_fingerprint
from hfcli.models.load import LoadedModel, ensure_filler, ensure_pad_token, load_model
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

    loaded: LoadedModel
    fingerprint: Callable[[], str]
    rows_at_once: int
    tokens_at_once: int | None = None


def load_scored(recipe: Recipe, *, offline: bool, lean_start: bool) -> ScoredModel:
    """Load the recipe's model.

    Float32 is left as transformers computes it, so that scores are those of training to the last
    digit; bfloat16 is asked for by who wants speed.

    Args:
        recipe: validated.
        offline: open no socket.
        lean_start: transformers may be imported without parts that scoring never uses.

    Raises:
        ModelError, RunError: see `hfcli.errors`.
    """
    source = resolve_model(
        recipe.model.name_or_path, revision=recipe.model.revision, offline=offline
    )
    fingerprint = begin_fingerprint(source)
    by_peft = source.adapter_config() is not None
    if lean_start and recipe.device in ("auto", "cpu") and not by_peft:
        import_leanly()
    placement = resolve_device(recipe.device)
    if placement.device.type == "cpu":
        keep_freed_memory()
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
        # For embeddings that the old ones and a mean replace.
        with nothing_drawn(with_memory=True):
            ensure_pad_token(loaded)
    rows = recipe.evaluation.batch_size
    if str(loaded.model.dtype) == "torch.bfloat16" and can_prepack(loaded.model):
        prepack(loaded.model)
        if whole_texts.shorten(loaded.model):
            tokens = whole_texts.TOKENS
            return ScoredModel(loaded, fingerprint, rows or tokens, tokens)
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
