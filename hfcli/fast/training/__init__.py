"""What a model does differently while it trains on a CPU, for speed; the result is the same.

Each part has a name, and `training.plain` in a recipe leaves it as transformers does it. Outside
of training mode a model is untouched: scores and texts are those of its own code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from hfcli.fast.memory import keep_freed_memory
from hfcli.fast.training import attention, dropout

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def speed_up(model: PreTrainedModel, plain: Collection[str] = ()) -> list[str]:
    """Apply every part that fits the model; again, it changes nothing.

    Args:
        model: on a CPU.
        plain: names of parts to leave out.

    Returns:
        What was done, a sentence each.
    """
    told = {name: part(model) for name, part in PARTS.items() if name not in plain}
    return [f"plain, without {name}: {done}" for name, done in told.items() if done]


def _memory(model: PreTrainedModel) -> str | None:
    if not keep_freed_memory():
        return None
    return "freed blocks stay with the process, instead of being fetched anew in each step"


def _activation(model: PreTrainedModel) -> str | None:
    """The tanh form of GELU, which transformers writes out as eight operations, in one."""
    import torch
    from transformers.activations import NewGELUActivation

    class OneGelu(NewGELUActivation):
        def forward(self, input: Any) -> Any:
            if not self.training:
                return super().forward(input)
            return torch.nn.functional.gelu(input, approximate="tanh")

    return _told("GELU in one operation", _change(model, NewGELUActivation, OneGelu))


def _dropout(model: PreTrainedModel) -> str | None:
    import torch

    class QuickDropout(torch.nn.Dropout):
        def forward(self, input: Any) -> Any:
            if not self.training or not 0 < self.p < 1:
                return super().forward(input)
            return dropout.dropped(input, self.p)

    return _told(
        "one random number for four elements",
        _change(model, torch.nn.Dropout, QuickDropout),
    )


def _attention(model: PreTrainedModel) -> str | None:
    """For models that are trained with dropout in their attention; others have torch's kernel."""
    config: Any = model.config
    rates = [getattr(config, n, 0) for n in ("attn_pdrop", "attention_dropout",
                                             "attention_probs_dropout_prob")]  # fmt: skip
    if config._attn_implementation != "sdpa" or not any(rates):
        return None
    model.set_attn_implementation(attention.register())
    return "dropout within one operation, in the number type of the model"


def _change(model: PreTrainedModel, before: type, after: type) -> int:
    """Give modules of exactly one class another; they keep all they hold. Their number."""
    found = [module for module in model.modules() if type(module) is before]
    for module in found:
        module.__class__ = after
    return len(found)


def _told(sentence: str, count: int) -> str | None:
    return sentence if count else None


PARTS: dict[str, Callable[[PreTrainedModel], str | None]] = {
    "memory": _memory,
    "activation": _activation,
    "dropout": _dropout,
    "attention": _attention,
}
