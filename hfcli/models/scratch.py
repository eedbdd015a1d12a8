"""A model from scratch: an architecture with random weights, and a tokenizer trained or borrowed.

Knows nothing about training; the caller seeds torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli import garbage
from hfcli.errors import ModelError
from hfcli.models.load import LoadedModel, silence
from hfcli.models.resolve import ModelSource, resolve_model
from hfcli.models.tokenizer import PAD_TOKEN, load_tokenizer
from hfcli.recipe.schema import ModelSection
from hfcli.tasks.base import Task

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

EOS_TOKEN = "<|endoftext|>"


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
    try:
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
        model = task.auto_class().from_config(config)
    except (ValueError, TypeError) as e:
        raise ModelError(f"model.config makes no model ({e})") from e
    source = ModelSource(f"{model_type} from scratch", Path())
    garbage.seek()
    return LoadedModel(model.to(device), tokenizer, source)


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
