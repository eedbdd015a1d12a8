"""Weights in the order that the processor reads them: linear layers for inference on a CPU.

torch hands a linear layer's weights to the matrix library as they lie in memory, for every token
anew. oneDNN, which ships in torch, can lay them out once for the processor at hand; reading them
is then as fast as memory is, also where one row meets a vocabulary of 50,000. Packed layers give
the same values within rounding. Knows nothing about generation; packed models are never saved or
trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def can_prepack(model: PreTrainedModel) -> bool:
    """Whether the linear layers of a model can be packed: on a CPU, in a type oneDNN takes."""
    import torch

    if model.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if getattr(model, "hf_quantizer", None) is not None or getattr(model, "hf_device_map", None):
        return False
    return model.dtype == torch.float32 or (
        model.dtype == torch.bfloat16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


def prepack(model: PreTrainedModel) -> int:
    """Replace every linear layer of `model`, for good, by one with packed weights.

    Subclasses of the layers are left alone: what they do beside is not known.

    Returns:
        How many layers were replaced.
    """
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    packed_linear = _packed_linear()
    count = 0
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is Linear or type(child) is Conv1D:
                setattr(module, name, packed_linear(child, turned=type(child) is Conv1D))
                count += 1
    return count


def _packed_linear() -> Any:
    import torch

    class PackedLinear(torch.nn.Module):
        """A linear layer that can only be called."""

        def __init__(self, layer: Any, *, turned: bool) -> None:
            super().__init__()
            weight = layer.weight.detach()
            weight = weight.t().contiguous() if turned else weight
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight)
            self.bias = layer.bias
            self.out_features, self.in_features = weight.shape

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")

    return PackedLinear
