"""Ctrl-C and SIGTERM: the step is finished and saved before the run ends.

The second signal ends it at once. Knows nothing about what is saved.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Interrupts:
    """What has arrived: None, or the signal."""

    received: signal.Signals | None = None


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
