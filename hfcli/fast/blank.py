"""Models are made on the meta device before their weights are read: drawing numbers for them there
draws none, and still costs the import of torch's symbolic mathematics. Here it is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hfcli.models.preflight import SizeLimit

HANDS_ON_CALLS = True  # for `hfcli.foreign`: what arises here is the fault of who called torch
FILLING = {"normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "xavier_uniform_"}


def nothing_drawn(*, with_memory: bool = False, limit: SizeLimit | None = None) -> Any:
    """A context in which filling a tensor without memory does nothing.

    Args:
        with_memory: nor does filling any other tensor; what calls it writes to all of it next.
        limit: counts the tensors without memory that are made within.
    """
    from torch.overrides import TorchFunctionMode

    class Blank(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            tensor: Any = args[0] if args else (kwargs or {}).get("tensor")
            if getattr(function, "__name__", "") in FILLING and (with_memory or tensor.is_meta):
                return tensor
            made = function(*args, **(kwargs or {}))
            if limit is not None and getattr(made, "is_meta", False):
                limit.count(getattr(function, "__name__", ""), made.numel())
            return made

    return Blank()
