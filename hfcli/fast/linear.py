"""Prepacked weights (oneDNN): linear layers in the order that the processor reads them.

torch hands a linear layer's weights to the matrix library as they lie in memory, for every token
anew. oneDNN, which ships in torch, can lay them out once for the processor at hand, with the same
values within rounding. In bfloat16 that wins for any number of rows; in float32 only for several,
and the layer itself stays for the others. Knows nothing about generation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hfcli.device import computes_bf16, free_host_memory
from hfcli.fast.protocol import SpeedUp, Versions, difference, only_on_cpu

if TYPE_CHECKING:
    from torch import Tensor

    from hfcli.fast.prepared import PreparedModel

SMALLEST = 64 * 2**20  # bytes of weights: below it, the time goes elsewhere
FEW_ROWS = 4  # of float32, which torch's own product reads as fast
MEMORY_SHARE = 0.5  # most of the free memory that packed weights may take
# Rows of a product for which oneDNN adds up each row in one order, whatever its place: at most so
# many (one token of each text), and exactly so many (texts that are read).
STEP, READ = 32, 128
_unpacked = [False]


class PrepackedWeights(SpeedUp):
    """See the module."""

    name = "prepacked-weights"
    aliases = ("prepack",)
    help = "lay weights out for the processor (oneDNN)"
    scope = f"for models of {SMALLEST // 2**20} MiB and more"
    tolerance, tolerance_16_bits = 1e-5, 2e-2

    def supports(self, versions: Versions, device: str) -> str | None:
        """See `SpeedUp.supports`."""
        import torch

        has_onednn: Any = torch.backends.mkldnn.is_available
        if device == "cpu" and not has_onednn():
            return "this torch was built without oneDNN"
        return only_on_cpu(device)

    def self_test(self) -> float:
        """Compare products of few and many rows, in each number type, with those of the layers."""
        import torch

        types = [torch.float32]
        if computes_bf16(torch.device("cpu")):
            types.append(torch.bfloat16)
        return max(self.in_float32(_test(dtype), dtype) for dtype in types)

    def fits(self, model: Any) -> bool:
        """Return whether packing a model's layers is worth its time and memory."""
        import torch

        if not isinstance(model, torch.nn.Module):  # another engine's
            return False
        if getattr(model, "hf_quantizer", None) or getattr(model, "hf_device_map", None):
            return False
        size = sum(p.nbytes for p in model.parameters())
        if size < SMALLEST or size > MEMORY_SHARE * free_host_memory():
            return False
        device: Any = model.device
        short = model.dtype == torch.bfloat16 and computes_bf16(device)
        return model.dtype == torch.float32 or short

    def prepare(self, prepared: PreparedModel, *, batch_invariant: bool = False) -> int:
        """Replace every linear layer by one with packed weights.

        Subclasses of the layers are left alone: what they do beside is not known. In bfloat16,
        GPT-2's GELU is computed in one step instead of seven rounded ones.

        Args:
            prepared: on a CPU.
            batch_invariant: make products of so many rows only that a row's numbers do not depend
                on the others.

        Returns:
            How many layers were replaced.
        """
        return pack(prepared.model, batch_invariant=batch_invariant)


def pack(model: Any, *, batch_invariant: bool = False) -> int:
    """See `PrepackedWeights.prepare`."""
    import torch
    from transformers.activations import NewGELUActivation
    from transformers.pytorch_utils import Conv1D

    packed_linear = _packed_linear()
    short = model.dtype == torch.bfloat16
    count = 0
    for module in list(model.modules()):
        if "packed" in vars(module):  # before
            continue
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear or type(child) is Conv1D:
                new = packed_linear(child, keep=not short, batch_invariant=batch_invariant)
                setattr(module, name, new)
                count += 1
            elif short and type(child) is NewGELUActivation:
                setattr(module, name, torch.nn.GELU(approximate="tanh"))
    return count


def _test(dtype: Any) -> float:
    """The largest difference that packing makes to products, with their fused operations."""
    import torch
    from torch.nn.functional import gelu
    from transformers.pytorch_utils import Conv1D

    random = torch.Generator().manual_seed(0)
    found = 0.0
    with torch.inference_mode():
        for layer in (torch.nn.Linear(48, 64), Conv1D(64, 48)):
            for parameter in layer.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=random))
            layer = layer.to(dtype)
            for batch_invariant in (False, True):
                new = _packed_linear()(layer, keep=False, batch_invariant=batch_invariant)
                for rows in (1, FEW_ROWS + 1, STEP + 1):
                    x = torch.randn(1, rows, 48, generator=random).to(dtype)
                    other = torch.randn(1, rows, 64, generator=random).to(dtype)
                    y = layer(x)
                    pairs = (
                        (linear(new, x), y),
                        (linear_gelu(new, x), gelu(y, approximate="tanh")),
                        (linear_add(new, x, other), y + other),
                    )
                    found = max(found, *(difference(ours, theirs) for ours, theirs in pairs))
    return found


@contextmanager
def unpacked_weights() -> Iterator[None]:
    """Inside, packed layers that have kept their own weights (float32) use those."""
    before, _unpacked[0] = _unpacked[0], True
    try:
        yield
    finally:
        _unpacked[0] = before


def are_linear(layers: Iterable[Any]) -> bool:
    """Whether all of them are linear layers as torch or transformers make them, packed or not."""
    import torch
    from transformers.pytorch_utils import Conv1D

    known = (torch.nn.Linear, Conv1D)
    return all(type(layer) in known or "packed" in vars(layer) for layer in layers)


def linear(layer: Any, x: Tensor) -> Tensor:
    """`layer(x)`, whether or not it is packed."""
    packed = _packed_for(layer, x)
    if packed is None:
        return _own_layer(layer)(x)  # type: ignore[no-any-return]
    return _in_parts(layer, lambda y: _product()(y, packed, layer.bias, "none", [], ""), x)


def linear_gelu(layer: Any, x: Tensor) -> Tensor:
    """GPT-2's GELU of `layer(x)`, in one pass where it is packed."""
    from torch.nn.functional import gelu

    packed = _packed_for(layer, x)
    if packed is None:
        return gelu(_own_layer(layer)(x), approximate="tanh")
    return _in_parts(layer, lambda y: _product()(y, packed, layer.bias, "gelu", [], "tanh"), x)


def linear_add(layer: Any, x: Tensor, other: Tensor) -> Tensor:
    """`layer(x) + other`, in one pass where it is packed."""
    packed = _packed_for(layer, x)
    if packed is None:
        return _own_layer(layer)(x).add_(other)  # type: ignore[no-any-return]
    product = _product().binary
    return _in_parts(layer, lambda y, z: product(y, z, packed, layer.bias, "add"), x, other)


def _in_parts(layer: Any, product: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """`product` of inputs (..., width), as many rows at a time as the layer takes."""
    import torch

    held, x = vars(layer), inputs[0]
    n = x.numel() // held["in_features"]
    most = READ if x.ndim == 3 and x.shape[1] > 1 else STEP
    if not held["batch_invariant"] or n <= most:
        return product(*inputs)
    parts = zip(*(torch.split(part.reshape(n, -1), most) for part in inputs), strict=True)
    return torch.cat([product(*part) for part in parts]).view(*x.shape[:-1], -1)


def _packed_for(layer: Any, x: Tensor) -> Tensor | None:
    """The packed weights of a layer, if there are any and they are the faster ones for `x`."""
    held = vars(layer)
    packed: Tensor | None = held.get("packed")
    if packed is None:
        return None
    few = x.numel() < FEW_ROWS * held["in_features"]
    return None if held["keeps"] and (few or _unpacked[0]) else packed


def _own_layer(layer: Any) -> Any:
    return layer.layer if "packed" in vars(layer) else layer


def _product() -> Any:
    import torch

    return torch.ops.mkldnn._linear_pointwise


def _packed_linear() -> Any:
    import torch
    from transformers.pytorch_utils import Conv1D

    class PackedLinear(torch.nn.Module):
        """A linear layer that can only be called; `keep`: beside the layer it is made from."""

        def __init__(self, layer: Any, *, keep: bool, batch_invariant: bool) -> None:
            super().__init__()
            weight = layer.weight.detach()
            if type(layer) is Conv1D:
                weight = weight.t().contiguous()
            self.out_features, self.in_features = weight.shape
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight)
            self.bias = layer.bias
            self.keeps = keep
            self.batch_invariant = batch_invariant
            self.layer = layer if keep else None

        def forward(self, x: Tensor) -> Tensor:
            return linear(self, x)

    return PackedLinear
