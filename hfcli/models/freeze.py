"""Freeze the lower part of a model: its embeddings and a number of transformer blocks.

Works by structure, not by name: the blocks are the module list that is as long as the
configuration says there are layers. Knows nothing about training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfcli.errors import ModelError, RecipeError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


def freeze_layers(*, model: PreTrainedModel, count: int) -> int:
    """Freeze the embeddings and the first `count` blocks; 0 freezes the embeddings alone.

    A head that shares its weights with the embeddings is the same tensor, and frozen with them.

    Returns:
        Parameters that are frozen now, each counted once.

    Raises:
        RecipeError: the model has fewer layers.
        ModelError: the model does not hold its layers in one list.
    """
    name, blocks = transformer_blocks(model)
    if count > len(blocks):
        raise RecipeError(
            f"cannot freeze {count} layers: the model has {len(blocks)}",
            hint=f"{len(blocks)} freezes all but what comes after the last layer",
        )
    for module in (*_embeddings(model, name), *blocks[:count]):
        module.requires_grad_(False)
    return sum(p.numel() for p in model.parameters() if not p.requires_grad)


def transformer_blocks(model: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """The name and the list of the transformer blocks.

    Raises:
        ModelError: no list is as long as the configuration says.
    """
    from torch import nn

    layers = model.config.get_text_config().num_hidden_layers
    # Outer modules come first, so that a list inside a block (experts, say) is never taken.
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers:
            return name, module
    raise ModelError(
        f"{type(model).__name__}: its {layers} layers are not in one list, so they cannot be frozen"
        " by number"
    )


def _embeddings(model: PreTrainedModel, blocks: str) -> list[nn.Module]:
    """Modules that hold the embeddings outside the blocks, with the norm that belongs to them.

    An embedding may stand beside the blocks (GPT-2's wte) or in a module with its layer norm
    (BERT's embeddings): the largest module around it that does not hold the blocks is taken.
    """
    from torch import nn

    names = {
        _largest_beside(name, blocks)
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and not name.startswith(f"{blocks}.")
    }
    return [model.get_submodule(name) for name in names]


def _largest_beside(name: str, blocks: str) -> str:
    """The shortest prefix of the dotted `name` that is not one of `blocks`."""
    parts, around = name.split("."), blocks.split(".")
    shared = 0
    while parts[shared] == around[shared]:
        shared += 1
    return ".".join(parts[: shared + 1])
