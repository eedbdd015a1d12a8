"""Ctrl-C and SIGTERM: the step is finished and saved before the run ends.

A saved step is all that a signal adds: it is not evaluated, does not count for early stopping or as
the best checkpoint, and no other checkpoint is deleted for it.

The second signal ends it at once. Knows nothing about what is saved.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

# Windows sends Ctrl-Break, and never SIGTERM.
SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)


class Paused(Exception):  # noqa: N818 - no error: it ends the training loop after a signal
    """The step is saved, and the run is to end here."""


@dataclass
class Interrupts:
    """What has arrived, and what came of it.

    Args:
        received: None, or the signal.
        paused: whether the run ended because of it, before its last step.
    """

    received: signal.Signals | None = None
    paused: bool = False


@dataclass
class StepState:
    """What has to be put back when a step is given up half way.

    Args:
        random: state of the random numbers before the step.
        touched: whether the optimizer has begun to change weights.
    """

    random: Any = None
    touched: bool = False


@contextmanager
def held_back() -> Iterator[Interrupts]:
    """Note the first signal instead of obeying it; afterwards all is as before.

    Does nothing outside the main thread, where Python has no handlers.
    """
    interrupts = Interrupts()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, _frame: FrameType | None) -> None:
        interrupts.received = signal.Signals(number)
        for other, handler in before.items():
            signal.signal(other, handler)

    try:
        for number in SIGNALS:
            signal.signal(number, note)
    except ValueError:  # not the main thread
        yield interrupts
        return
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
