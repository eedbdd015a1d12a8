"""What accelerate (1.10 to 1.15) does between a gradient and a step, for the Trainer of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Clip = Callable[[Any, float], Any]  # (parameters, longest) -> the norm before


def replace_clipping(accelerator: Any, make: Callable[[Clip], Clip]) -> None:
    """Let Trainer, which clips by its accelerator, clip in another way.

    Where a version clips without it, gradients are clipped as that version does, and
    `HfcliTrainer.check_gradients` looks at them before the optimizer does.

    Args:
        accelerator: of one Trainer.
        make: the accelerator's own clipping -> what is to be called in its place.
    """
    own = getattr(accelerator, "clip_grad_norm_", None)
    if own is not None:
        accelerator.clip_grad_norm_ = make(own)


def keep_losses_whole(accelerator: Any) -> None:
    """Let `backward` not divide a loss by the batches of a step, which Trainer's own loss is.

    transformers 5.4 lets accelerate divide once more; later versions set the same themselves.
    """
    if hasattr(accelerator, "gradient_accumulation_steps"):
        accelerator.gradient_accumulation_steps = 1
