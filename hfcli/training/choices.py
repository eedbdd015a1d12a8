"""What a run chose for the machine it is on, in sentences: `--verbose`. Chooses nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfcli.training.order import Strategy

if TYPE_CHECKING:
    from transformers import TrainingArguments


def choices(arguments: TrainingArguments, strategy: Strategy, chunked: bool) -> list[str]:
    """Sentences, each with the key of the training section that chooses otherwise.

    Args:
        arguments: of the run.
        strategy: order of the rows.
        chunked: whether a language model's loss is computed by `hfcli.training.head_loss`.
    """
    bf16 = "products in bfloat16, which the device computes in" if arguments.bf16 else "off"
    order = f"{strategy}, so that little is padded" if strategy == "group_by_length" else strategy
    told = [f"bf16: {bf16}", f"train_sampling_strategy: {order}"]
    name = getattr(arguments.optim, "value", arguments.optim)
    told.append(f"extra.optim: {name}")
    if chunked:
        told.append("loss_type: chunked_nll, the head is applied to supervised tokens only")
    return told
