"""The tokenizer of a model's files, and embeddings for tokens that are added to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfcli.errors import ModelError
from hfcli.foreign import foreign_errors
from hfcli.models import gguf_cache
from hfcli.models.resolve import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PAD_TOKEN = "<|pad|>"


def load_gguf_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """The tokenizer in a GGUF file, made once and kept in the cache.

    Raises:
        ModelError: as `load_tokenizer`.
    """
    place = gguf_cache.tokenizer_place(source)
    kept = gguf_cache.kept(source, place)
    tokenizer = load_tokenizer(kept or source)
    if kept is None:
        gguf_cache.keep(place, None, tokenizer)
    return tokenizer


def load_tokenizer(
    source: ModelSource, *, trust_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """The tokenizer in a model's files.

    Raises:
        ModelError: there is none; transformers would hand out an empty one without a word.
    """
    from transformers import AutoTokenizer

    options = {"gguf_file": source.gguf_file} if source.gguf_file else {}
    broken = f"{source.name}: no usable tokenizer"
    with foreign_errors(ModelError, broken, hint=cut_off_hint(source)):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source.folder, trust_remote_code=trust_remote_code, **options
        )
        works = len(tokenizer) > 1 and tokenizer("a", add_special_tokens=False)["input_ids"]
    if not works:
        raise ModelError(
            f"{source.name}: the folder has no tokenizer files",
            hint="copy tokenizer.json and tokenizer_config.json into it",
        )
    return tokenizer


def grow_embeddings(model: PreTrainedModel, size: int) -> None:
    import torch

    try:
        weight: Any = model.get_input_embeddings().weight
    except (NotImplementedError, AttributeError):  # CANINE, Perceiver: nothing can grow
        return
    before = weight.shape[0]
    if size <= before:
        return
    mean = weight.detach().mean(0)
    # Upstream's mean_resizing draws from a covariance: slow for 50,257 rows, and random.
    model.resize_token_embeddings(size, mean_resizing=False)
    with torch.no_grad():
        for embeddings in (model.get_input_embeddings(), model.get_output_embeddings()):
            if embeddings is not None:
                grown: Any = embeddings.weight
                grown[before:] = mean if grown.shape[1] == mean.shape[0] else 0


def cut_off_hint(source: ModelSource) -> str | None:
    """What may be wrong with a file that cannot be read."""
    return "the file may be cut off: fetch it again" if source.gguf_file else None
