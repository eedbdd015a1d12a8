"""Local files -> a model and its tokenizer, checked for what the task needs.

Loads safetensors, GGUF and adapter folders; pickles and code from the model's folder only when
asked for by name.
Knows nothing about data; asks nothing of the network (`hfcli.models.resolve` did).
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from hfcli import hub
from hfcli.device import Placement, needs_memory
from hfcli.errors import ModelError
from hfcli.fast.startup import resume_gc
from hfcli.foreign import cut
from hfcli.models import adapter, gguf_cache
from hfcli.models.generation_config import FILE, check_generation_config, load_generation_config
from hfcli.models.options import LoadOptions, check_quantized, needs_pickle, quantization
from hfcli.models.resolve import ModelSource
from hfcli.models.tokenizer import PAD_TOKEN, grow_embeddings, load_tokenizer
from hfcli.models.weights import load_weights
from hfcli.tasks.base import Task

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# A tokenizer that has no more than so many tokens too many is the model's own, with additions.
FEW_TOKENS = 16


class ReadableModel(Protocol):
    """What computing with a model takes: a `LoadedModel`, or one that was prepared for speed."""

    @property
    def model(self) -> PreTrainedModel: ...
    @property
    def tokenizer(self) -> PreTrainedTokenizerBase: ...
    @property
    def source(self) -> ModelSource: ...
    @property
    def parts(self) -> tuple[ModelSource, ...]: ...


@dataclass(frozen=True)
class LoadedModel:
    """A model in eval mode, its tokenizer, and where both came from.

    Args:
        new_weights: names of weights that were in no file and start at random.
        parts: what else it was made from: the base of an adapter folder, an adapter.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    source: ModelSource
    new_weights: tuple[str, ...] = ()
    parts: tuple[ModelSource, ...] = ()


def load_model(
    *,
    source: ModelSource,
    task: Task,
    dtype: torch.dtype,
    placement: Placement,
    config_overrides: dict[str, Any] | None = None,
    new_head: bool = False,
    options: LoadOptions | None = None,
) -> LoadedModel:
    """Load weights for a task.

    Args:
        source: files found by `resolve_model`.
        task: says which auto class to use, and which missing weights cannot be accepted.
        dtype: number type of the weights in memory.
        placement: from `resolve_device`.
        config_overrides: configuration values to set, such as the labels of a new head.
        new_head: accept missing or differently shaped head weights (they start at random).
        options: adapter, quantization, and what is not loaded unless asked for by name.

    Raises:
        ModelError: not loadable, the wrong architecture, no tokenizer, or no trained head.
        RunError: the device, or the machine, has no memory for it.
    """
    hint = "a smaller model, --load-in 8bit on a GPU, or another --device"
    with needs_memory(f"{source.name}: cannot be loaded", hint=hint):
        return _load(
            source, task, dtype, placement, config_overrides, new_head, options or LoadOptions()
        )


def _load(
    source: ModelSource,
    task: Task,
    dtype: torch.dtype,
    placement: Placement,
    config_overrides: dict[str, Any] | None,
    new_head: bool,
    options: LoadOptions,
) -> LoadedModel:
    *adapters, base = adapter.resolve_chain(source)
    hub.go_offline()
    silence()
    adapters.reverse()  # the one that fits the model itself comes first
    if options.adapter is not None:
        adapters.append(options.adapter)
    keywords = {
        "dtype": dtype,
        **placement.load_options(weight_bytes(base)),
        **quantization(options.load_in, base, placement),
        "use_safetensors": not needs_pickle(base, options),
        "trust_remote_code": options.trust_remote_code,
    }
    overrides = {**adapter.saved_labels(source), **(config_overrides or {})}
    lenient = new_head or bool(adapters)  # an adapter may bring the head
    place = None
    files: ModelSource | None = base
    if base.gguf_file and options.gguf_cache and not overrides and not lenient:
        place = gguf_cache.place(base, task, dtype)
        files = gguf_cache.kept(base, place)
    model, missing = load_weights(files or base, task, keywords, overrides, lenient)
    plain = gguf_cache.make_plain(model) if base.gguf_file else True
    for own in adapters:
        held = adapter.weight_names(own, options)
        missing = [name for name in missing if name not in held]
    problem = None if new_head else task.reject_missing_weights(missing)
    if problem:
        raise ModelError(f"{source.name}: {problem}", hint=f"finetune it for {task.name} first")
    own_tokenizer = (source.folder / "tokenizer_config.json").is_file() or source.gguf_file
    holds = (files or base) if base is source or not own_tokenizer else source
    tokenizer = load_tokenizer(holds, trust_remote_code=options.trust_remote_code)
    if place is not None and files is None and plain:
        gguf_cache.keep(place, model, tokenizer)
    if adapters:
        # Tokens that training added, such as the padding token, are not in the base model.
        grow_embeddings(model, len(tokenizer))
        model = adapter.merge(model, adapters)
        _take_generation_config(model, source)
    if "device_map" not in keywords and options.load_in is None:
        model.to(placement.device)  # type: ignore[arg-type]
    _check_vocabulary(tokenizer, model, source)
    if getattr(model, "generation_config", None) is not None:
        check_generation_config(model.generation_config, source.name)
    if options.load_in is not None:
        check_quantized(model, source)
    model.eval()
    parts = (*([base] if base is not source else []), *(a for a in adapters if a is not source))
    resume_gc()
    return LoadedModel(model, tokenizer, source, tuple(missing), parts)


def ensure_pad_token(loaded: LoadedModel) -> None:
    """Give tokenizer and model a padding token that is never a real label.

    GPT-2 has none, and padding with EOS would hide a text's own EOS. A token of its own is added
    where there is none or where it doubles as BOS or EOS; its embedding is the mean of the others.
    """
    tokenizer, model = loaded.tokenizer, loaded.model
    real = {tokenizer.bos_token_id, tokenizer.eos_token_id}
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in real:
        tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
        grow_embeddings(model, len(tokenizer))
    for config in (model.config, model.config.get_text_config()):
        config.pad_token_id = tokenizer.pad_token_id
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id


def ensure_padding(loaded: LoadedModel, task: Task) -> None:
    """Give a model what training and saving it for a task need to fill rows.

    A causal language model keeps its vocabulary and its tokenizer: a row that was added would take
    part in every softmax, and could be sampled. Its rows are masked by length; see `filler_id`.
    """
    tokenizer = loaded.tokenizer
    none = {None, tokenizer.bos_token_id, tokenizer.eos_token_id}
    if not task.generates or tokenizer.pad_token_id not in none:
        ensure_pad_token(loaded)


def filler_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that fills rows which are masked by their lengths: any token serves."""
    ids = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((int(i) for i in ids if i is not None), 0)


def ensure_filler(loaded: LoadedModel) -> None:
    """Give the tokenizer a token that fills rows which are masked by their lengths.

    Nothing is added to the vocabulary: one more row would take part in every softmax over it.
    """
    tokenizer = loaded.tokenizer
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)


def silence() -> None:
    """Switch off what the libraries say while they load.

    hfcli draws its own progress bars. bitsandbytes tells at every product of matrices on a CPU
    that inputs are cast, and, when peft imports it, which kernels it could download.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "MatMul8bitLt: inputs will be cast", UserWarning)  # by 0.48


def _take_generation_config(model: PreTrainedModel, source: ModelSource) -> None:
    """The settings saved with an adapter instead of those of its base."""
    if model.can_generate() and (source.folder / FILE).is_file():
        model.generation_config = load_generation_config(source.folder)


def _check_vocabulary(
    tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, source: ModelSource
) -> None:
    try:
        weight: Any = model.get_input_embeddings().weight
    except (NotImplementedError, AttributeError):  # CANINE and Perceiver have no such table
        return
    rows = weight.shape[0]
    if len(tokenizer) <= rows:
        return
    message = f"{source.name}: the tokenizer has {len(tokenizer)} tokens, the model {rows}"
    beyond = [t for t, i in sorted(tokenizer.get_vocab().items(), key=itemgetter(1)) if i >= rows]
    if len(beyond) > FEW_TOKENS and not set(beyond) <= set(tokenizer.get_added_vocab()):
        raise ModelError(message, hint="model and tokenizer are not of the same family")
    names = cut(", ".join(map(repr, beyond)))
    raise ModelError(
        f"{message}: {names} {'has' if len(beyond) == 1 else 'have'} no embedding",
        hint="drop the added tokens from the tokenizer's files, or save the model again after"
        f" model.resize_token_embeddings({len(tokenizer)})",
    )


def weight_bytes(source: ModelSource) -> int:
    """Of the weights on disk."""
    if source.gguf_file:
        return (source.folder / source.gguf_file).stat().st_size
    files = source.folder.glob("*.safetensors")
    return sum(path.stat().st_size for path in files if path.is_file())
