"""A model from scratch: an architecture with random weights, and a tokenizer trained or borrowed.

Knows nothing about training; the caller seeds torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.errors import ModelError, RecipeError, RunError
from hfcli.foreign import foreign_errors
from hfcli.models.causal import check_causal, is_causal_task
from hfcli.models.load import LoadedModel, silence
from hfcli.models.resolve import ModelSource, resolve_model
from hfcli.models.tokenizer import PAD_TOKEN, load_tokenizer
from hfcli.recipe.schema import ModelSection
from hfcli.tasks.base import Task

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

EOS_TOKEN = "<|endoftext|>"
MOST_LAYERS = 10_000
MOST_LABELS = 1_000_000
LARGE = 50_000  # a size from which weights may be too large for a machine


def build_model(
    *,
    section: ModelSection,
    task: Task,
    texts: Iterable[str],
    device: torch.device,
    config_overrides: dict[str, Any],
    offline: bool = False,
) -> LoadedModel:
    """Build the architecture in `section.config` with random weights, in float32.

    Args:
        section: a model section with `config`.
        task: says which auto class to use.
        texts: what a new tokenizer is trained on.
        device: where the model goes.
        config_overrides: further configuration values, such as labels.
        offline: forbid the network when the tokenizer is borrowed.

    Raises:
        ModelError: the configuration makes no model.
    """
    from transformers import AutoConfig

    silence()
    config_values = dict(section.config or {})
    model_type = str(config_values.pop("model_type"))
    if section.tokenizer is not None:
        tokenizer = load_tokenizer(resolve_model(section.tokenizer, offline=offline))
    else:
        length = config_values.get("n_positions", config_values.get("max_position_embeddings"))
        tokenizer = train_tokenizer(texts, section.tokenizer_vocab_size or 0, length)
    _check_counts(config_values)
    with foreign_errors(ModelError, "model.config makes no model"):
        config = AutoConfig.for_model(
            model_type,
            **{
                "vocab_size": len(tokenizer),
                "bos_token_id": tokenizer.bos_token_id,
                "eos_token_id": tokenizer.eos_token_id,
                "pad_token_id": tokenizer.pad_token_id,
                **config_values,
                **config_overrides,
            },
        )
        if is_causal_task(task):
            check_causal(config, "model.config")
        _check_memory(config_values, task, config)
        model = task.auto_class().from_config(config)
    source = ModelSource(f"{model_type} from scratch", Path())
    return LoadedModel(model.to(device), tokenizer, source)


def _check_counts(values: Mapping[str, Any]) -> None:
    """Raise where a model of these counts would be built without end.

    Raises:
        RecipeError: more layers or labels than any model has.
    """
    for name, value in values.items():
        most = MOST_LABELS if name == "num_labels" else MOST_LAYERS
        counts = "layers" in name or name in ("n_layer", "num_labels", "num_experts")
        if counts and isinstance(value, int) and value > most:
            raise RecipeError(f"model.config.{name} must be {most} at most (found {value})")


def _check_memory(values: Mapping[str, Any], task: Task, config: PreTrainedConfig) -> None:
    """Raise where the weights need more memory than the machine has.

    Args:
        values: as the recipe gives them.
        task: says which auto class to use.
        config: of all values.

    Raises:
        RunError: they do.
    """
    import psutil
    import torch

    if not any(isinstance(value, int) and value >= LARGE for value in values.values()):
        return
    with torch.device("meta"):
        model = task.auto_class().from_config(config)
    size = 4 * sum(parameter.numel() for parameter in model.parameters())
    if size > psutil.virtual_memory().total:
        raise RunError(
            f"out of memory: the weights of model.config take {size / 2**30:,.0f} GiB",
            hint="smaller sizes in model.config",
        )


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, model_max_length: int | None
) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE, as GPT-2's, with an EOS (also BOS) and a padding token.

    Args:
        texts: training texts.
        vocab_size: tokens in all, with the two special ones and the 256 bytes.
        model_max_length: context of the model, in tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[EOS_TOKEN, PAD_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    limit = {} if model_max_length is None else {"model_max_length": model_max_length}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=EOS_TOKEN,
        eos_token=EOS_TOKEN,
        unk_token=EOS_TOKEN,
        pad_token=PAD_TOKEN,
        **limit,
    )
