"""The loss of a language model from its last hidden states, without the logits of all tokens.

The head is applied to the supervised tokens only, some at a time, and its gradients are computed
with the loss: logits over a vocabulary of 50,000 are never kept. (The idea is that of Liger's
fused linear cross-entropy, Hsu et al. 2024.) The result is the model's own loss; a model whose
logits are more than its head's output is told apart by a try, and keeps its own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfcli.foreign import forward_errors
from hfcli.tasks.base import IGNORE

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

TOKENS_AT_ONCE = 1024  # whose logits are in memory: 200 MB in float32 for GPT-2's vocabulary
TOLERANCE = 1e-4  # of the largest logit, between the model's own and the head's


class HeadLoss:
    """The loss of one model.

    Args:
        backbone: gives the last hidden states.
        head: (vocabulary, width), as a linear layer without bias.
    """

    def __init__(self, backbone: Any, head: Any) -> None:
        self.backbone = backbone
        self.head = head

    def __call__(self, inputs: dict[str, Any], n_items: Any) -> Tensor:
        """Sum of the negative log-likelihoods of the labels, divided by `n_items`."""
        values = {name: value for name, value in inputs.items() if name != "labels"}
        hidden = self.backbone(**values, use_cache=False)[0][:, :-1]
        labels = inputs["labels"][:, 1:]
        wanted = labels != IGNORE
        return _apply(hidden[wanted], self.head.weight, labels[wanted], n_items)


def head_loss(model: PreTrainedModel) -> HeadLoss | None:
    """The loss for a model, or None where its logits are not simply its head's output."""
    import torch

    network: Any = model
    if hasattr(model, "get_base_model"):  # an adapter around it
        network = network.get_base_model()
    head: Any = network.get_output_embeddings()
    backbone: Any = getattr(network, "base_model", None)
    if type(head) is not torch.nn.Linear or head.bias is not None or backbone is network:
        return None
    size = min(8, head.weight.shape[0])
    ids = torch.arange(size, device=model.device)[None]
    training = network.training
    network.eval()
    with forward_errors(network), torch.inference_mode():
        own = network(input_ids=ids, use_cache=False).logits.float()
        made = head(backbone(input_ids=ids, use_cache=False)[0]).float()
    network.train(training)
    if own.shape != made.shape or (own - made).abs().max() > TOLERANCE * own.abs().max():
        return None
    return HeadLoss(backbone, head)


def _apply(hidden: Tensor, weight: Tensor, labels: Tensor, n_items: Any) -> Tensor:
    import torch

    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    loss: Tensor = _function().apply(hidden, weight, labels, n_items, dtype)
    return loss


def _function(made: list[Any] = []) -> Any:  # noqa: B006 - one a process
    """The autograd function, made once, since it must subclass a torch class."""
    if made:
        return made[0]
    import torch

    class LinearCrossEntropy(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, hidden: Any, weight: Any, labels: Any, n_items: Any, dtype: Any
        ) -> Any:
            inputs, head = hidden.to(dtype), weight.to(dtype)
            grad_hidden = torch.empty_like(hidden)
            grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
            total = torch.zeros((), dtype=torch.float64, device=hidden.device)
            rooms = _rooms(head, min(len(labels), TOKENS_AT_ONCE))
            for start in range(0, len(labels), TOKENS_AT_ONCE):
                part = slice(start, start + TOKENS_AT_ONCE)
                losses, slope = _slope(inputs[part], head, labels[part, None], n_items, rooms)
                total += losses.double().sum()
                grad_hidden[part] = torch.mm(slope, head)
                if grad_weight is not None:
                    grad_weight += torch.mm(slope.t(), inputs[part])
            ctx.save_for_backward(grad_hidden, grad_weight)
            return (total / n_items).to(hidden.dtype)

        @staticmethod
        def backward(ctx: Any, slope: Any) -> Any:
            grad_hidden, grad_weight = ctx.saved_tensors
            one = float(slope) == 1.0
            hidden = grad_hidden if one else grad_hidden * slope
            if grad_weight is not None and not one:
                grad_weight = grad_weight * slope
            return hidden, grad_weight, None, None, None

    made.append(LinearCrossEntropy)
    return LinearCrossEntropy


def _rooms(head: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Room for the logits of so many tokens: in the number type of the head, and twice wider.

    It is used for one part after another: fresh memory costs more than the arithmetic.
    """
    import torch

    wide = torch.promote_types(head.dtype, torch.float32)
    shape = (rows, len(head))
    narrow, one, two = (
        torch.empty(shape, dtype=t, device=head.device) for t in (head.dtype, wide, wide)
    )
    return narrow, one, two


def _slope(
    inputs: Tensor, head: Tensor, targets: Tensor, n_items: Any, rooms: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """The loss of each token, and the gradients of their mean with respect to the logits."""
    import torch

    narrow, logits, slope = (room[: len(targets)] for room in rooms)
    torch.mm(inputs, head.t(), out=narrow)
    torch.softmax(logits.copy_(narrow), -1, out=slope)
    # In few passes over so many numbers: log sum exp x = max x - log max softmax x.
    log_sum = logits.amax(-1, keepdim=True) - slope.amax(-1, keepdim=True).log_()
    losses = log_sum - logits.gather(-1, targets)
    # d loss / d logits: softmax - one hot
    slope.scatter_add_(-1, targets, -torch.ones_like(targets, dtype=slope.dtype))
    return losses, torch.div(slope, n_items, out=narrow)
