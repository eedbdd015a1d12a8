"""What a classification head learns from: cross-entropy, binary cross-entropy, squared error.

Each is one value an item (a row; for several labels a row and label), and all of them are added
up and divided by the number of items of the whole optimizer step. Weights are not part of the
divisor. So a step gives the same gradients however it is divided into batches, which the weighted
mean of torch's own losses, a mean of each batch, does not. Knows nothing about label names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from hfcli.tasks.base import LossFunction

ItemLosses = Callable[["Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True)
class LossOptions:
    """How a loss differs from the plain one.

    Args:
        weights: of each label; None: 1.
        focal_gamma: of the focal loss; 0: none.
        label_smoothing: share of a label that is given to all labels alike; 0: none.
    """

    weights: Sequence[float] | None = None
    focal_gamma: float = 0.0
    label_smoothing: float = 0.0


def make_loss(items: ItemLosses) -> LossFunction:
    """A loss for Trainer: the sum of the items' losses over the number of items of the step.

    Args:
        items: (logits, labels) -> one loss an item; logits are float32 or wider.
    """

    def loss(
        outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        import torch

        logits: Tensor = outputs.logits
        losses = items(logits.to(torch.promote_types(logits.dtype, torch.float32)), labels)
        return losses.sum() / (losses.numel() if num_items_in_batch is None else num_items_in_batch)

    return loss


def cross_entropy(logits: Tensor, labels: Tensor, options: LossOptions) -> Tensor:
    """Cross-entropy of each row, torch's own, weights and smoothing included, times `focal`.

    Args:
        logits: (rows, labels).
        labels: indices, (rows,).
        options: weights, smoothing and gamma.

    Returns:
        (rows,)
    """
    import torch

    losses = torch.nn.functional.cross_entropy(
        logits, labels, weight=_weights(options, logits),
        label_smoothing=options.label_smoothing, reduction="none",
    )  # fmt: skip
    if not options.focal_gamma:
        return losses
    plain = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    return losses * focal(plain, options.focal_gamma)


def binary_cross_entropy(logits: Tensor, labels: Tensor, options: LossOptions) -> Tensor:
    """Binary cross-entropy of each row and label, torch's own, times `focal`.

    Args:
        logits: (rows, labels).
        labels: 0 or 1, (rows, labels).
        options: weights, which count where a label is given (torch's pos_weight), and gamma.

    Returns:
        (rows, labels)
    """
    import torch

    binary = torch.nn.functional.binary_cross_entropy_with_logits
    labels = labels.to(logits.dtype)
    losses = binary(logits, labels, pos_weight=_weights(options, logits), reduction="none")
    if not options.focal_gamma:
        return losses
    return losses * focal(binary(logits, labels, reduction="none"), options.focal_gamma)


def squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """(prediction - label)^2 of each row; logits (rows, 1), labels (rows,)."""
    return (logits.squeeze(-1) - labels.to(logits.dtype)) ** 2


def focal(nll: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma, where p = exp(-nll) is the probability of what is right.

    Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 4.
    """
    import torch

    # For gamma < 1 the power has no gradient at 0, where float32 puts every p near 1.
    return (-torch.expm1(-nll)).clamp_min(torch.finfo(nll.dtype).tiny) ** gamma


def balanced(counts: Sequence[int]) -> list[float]:
    """n / (k * count), with the k labels that occur: each label weighs the same in the sum.

    Source: scikit-learn's compute_class_weight; a label without rows gets 1.
    """
    present = sum(count > 0 for count in counts)
    return [sum(counts) / (present * count) if count else 1.0 for count in counts]


def balanced_positives(counts: Sequence[int], n_rows: int) -> list[float]:
    """Rows without the label over rows with it: both weigh the same; 1 where one is missing."""
    return [(n_rows - n) / n if 0 < n < n_rows else 1.0 for n in counts]


def _weights(options: LossOptions, logits: Tensor) -> Tensor | None:
    return None if options.weights is None else logits.new_tensor(list(options.weights))
