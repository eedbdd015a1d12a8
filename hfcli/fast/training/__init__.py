"""Speed-ups of training on a CPU; the result is the same.

Outside of training mode a model is untouched: scores and texts are those of its own code. Each part
is compared with the model's own step, in which dropout drops nothing, before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from hfcli.fast.memory import RetainedMemory
from hfcli.fast.protocol import SpeedUp, Stage, Versions, difference, only_on_cpu
from hfcli.fast.training import attention

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Undo = Callable[[], None]
RATES = ("attn_pdrop", "attention_dropout", "attention_probs_dropout_prob")  # in configurations
TEST_TOKENS = 6


class TrainingSpeedUp(SpeedUp):
    """A part of a model that trains faster.

    `prepare(model)` changes it and returns what puts it back; None where the model has no such
    part, or has it changed already.
    """

    stage: ClassVar[Stage] = "training"
    tolerance, tolerance_16_bits = 1e-4, 5e-2

    def supports(self, versions: Versions, device: str) -> str | None:
        """See `SpeedUp.supports`."""
        return only_on_cpu(device)

    def prepare(self, model: PreTrainedModel) -> Undo | None:
        """See the class."""
        raise NotImplementedError


class FusedGelu(TrainingSpeedUp):
    """The tanh form of GELU, which transformers writes out as eight operations, in one."""

    name = "gelu"
    aliases = ("activation",)
    help = "the tanh form of GELU in one operation"
    scope = "for models with this activation, such as GPT-2"

    def self_test(self) -> float:
        """Compare values and slopes with those of transformers."""
        import torch
        from transformers.activations import NewGELUActivation

        x = torch.linspace(-6, 6, 101, requires_grad=True)
        with torch.enable_grad():
            both = [module.train()(x) for module in (_one_gelu()(), NewGELUActivation())]
            slopes = [torch.autograd.grad(y.sum(), x)[0] for y in both]
        return max(difference(*both), difference(*slopes))

    def prepare(self, model: PreTrainedModel) -> Undo | None:
        """See `TrainingSpeedUp`."""
        from transformers.activations import NewGELUActivation

        return _change(model, NewGELUActivation, _one_gelu())


class FastAttention(TrainingSpeedUp):
    """Attention with dropout; see `hfcli.fast.training.attention`."""

    name = "attention"
    help = "dropout within the operation of attention"
    scope = "for models with dropout in their attention"

    def self_test(self) -> float:
        """Compare values and slopes with those of torch, and the share that is dropped."""
        return attention.self_test()

    def prepare(self, model: PreTrainedModel) -> Undo | None:
        """See `TrainingSpeedUp`; models without dropout in their attention have torch's kernel."""
        config: Any = model.config
        before = config._attn_implementation
        if before != "sdpa" or not any(getattr(config, name, 0) for name in RATES):
            return None
        model.set_attn_implementation(attention.register())
        return partial(model.set_attn_implementation, before)


PARTS: tuple[TrainingSpeedUp, ...] = (FusedGelu(), FastAttention())


def prepare_training(model: PreTrainedModel, disabled: Collection[str] = ()) -> list[str]:
    """Apply every speed-up that fits the model and stands its test; again, it changes nothing.

    Args:
        model: on a CPU.
        disabled: names of speed-ups to leave out.

    Returns:
        What was done, or why not, a sentence each.
    """
    told = []
    memory = RetainedMemory()
    if memory.name not in disabled:
        reason = memory.refusal("cpu")
        told.append(_line(memory, reason))
    for part in PARTS:
        if part.name in disabled:
            continue
        reason, undo = part.refusal("cpu"), None
        if reason is None:
            undo = part.prepare(model)
            if undo is None:
                continue
            reason = part.failure_on(model, partial(_changes, model, part, undo))
        if undo is not None and reason is not None:
            undo()
        told.append(_line(part, reason))
    return told


def _line(one: SpeedUp, reason: str | None) -> str:
    return f"{one.name}: {one.help}" if reason is None else f"{one.name}: off, {reason}"


def _changes(model: PreTrainedModel, part: TrainingSpeedUp, undo: Undo) -> float:
    """The largest difference that a part makes to a step; it is applied before and after."""
    after = _step(model)
    undo()
    before = _step(model)
    part.prepare(model)
    found = max(difference(a, b) for a, b in zip(after, before, strict=True))
    return part.in_float32(found, model.dtype)


def _step(model: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """Logits of a few tokens, and the slopes at their embeddings; no gradient is kept."""
    import torch

    held: list[Tensor] = []

    def hold(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        held.append(output.detach().requires_grad_())
        return held[-1]

    embeddings: Any = model.get_input_embeddings()
    ids = torch.arange(1, TEST_TOKENS + 1)[None] % len(embeddings.weight)
    hook = embeddings.register_forward_hook(hold)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), _dropping_nothing(model):
            logits = model(input_ids=ids).logits
            (slopes,) = torch.autograd.grad(logits.float().square().mean(), held[:1])
    finally:
        hook.remove()
    return logits.detach(), slopes


@contextmanager
def _dropping_nothing(model: PreTrainedModel) -> Iterator[None]:
    """In training mode, with rates of dropout that are above zero and drop nothing."""
    import torch

    changed = [
        (module, name, getattr(module, name))
        for module in model.modules()
        for name in ("p" if isinstance(module, torch.nn.Dropout) else "attention_dropout",)
        if isinstance(getattr(module, name, None), float) and getattr(module, name)
    ]
    training = model.training
    model.train()
    try:
        for module, name, _rate in changed:
            setattr(module, name, attention.NOTHING)
        yield
    finally:
        for module, name, rate in changed:
            setattr(module, name, rate)
        model.train(training)


def _one_gelu() -> Any:
    import torch
    from transformers.activations import NewGELUActivation

    class OneGelu(NewGELUActivation):
        def forward(self, input: Any) -> Any:
            if not self.training:
                return super().forward(input)
            return torch.nn.functional.gelu(input, approximate="tanh")

    return OneGelu


def _change(model: PreTrainedModel, before: type, after: type) -> Undo | None:
    """Give modules of exactly one class another; they keep all they hold."""
    found = [module for module in model.modules() if type(module) is before]

    def put(kind: type) -> None:
        for module in found:
            module.__class__ = kind

    put(after)
    return partial(put, before) if found else None
