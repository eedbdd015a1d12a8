"""A model that was prepared for speed: another type than one that can be trained or saved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hfcli.models.load import LoadedModel
    from hfcli.models.resolve import ModelSource


@dataclass(frozen=True)
class PreparedModel:
    """A model whose layers may be replaced by faster ones, which only compute.

    It has what reading a `LoadedModel` takes and is none: what trains or saves a model takes a
    `LoadedModel`, so that a type checker refuses this one.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    source: ModelSource
    parts: tuple[ModelSource, ...] = ()

    @classmethod
    def of(cls, loaded: LoadedModel) -> PreparedModel:
        """Take over a model that nobody else reads, trains or saves from here on."""
        return cls(loaded.model, loaded.tokenizer, loaded.source, loaded.parts)
