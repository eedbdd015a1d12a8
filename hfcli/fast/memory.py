"""Retained memory: what is freed stays with the process while it trains or scores.

Gradients, activations and logits are freed and asked for again in every step. glibc gives blocks
that large back to the system and fetches them anew, page by page, each cleared first: a step of
GPT-2 small spends more time there than in its matrix products. Knows nothing about models.
"""

from __future__ import annotations

import sys
from typing import ClassVar

from hfcli.fast.protocol import SpeedUp, Stage, Versions, only_on_cpu

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER = -1
AT_ONCE = 64 * 2**20  # bytes the heap grows by: fewer calls to the system


class RetainedMemory(SpeedUp):
    """Of numbers it changes none: nothing is tested but that the C library accepts it."""

    name = "memory"
    help = "freed memory stays with the process"
    scope = "training runs on the CPU"
    stage: ClassVar[Stage] = "training"

    def supports(self, versions: Versions, device: str) -> str | None:
        """See `SpeedUp.supports`."""
        return only_on_cpu(device)

    def self_test(self) -> float:
        """Retain memory."""
        if not retain():
            raise RuntimeError("the C library has no such switch: only glibc has")
        return 0.0


def trim() -> None:
    """Give freed memory back to the system once, so that what is in use can be measured."""
    if sys.platform.startswith("linux"):
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def retain() -> bool:
    """Let the C library retain what is freed, for the rest of the process.

    Returns:
        Whether it has such a switch: glibc has, musl, macOS and Windows have not.
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # here: it takes time of every start

    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    options = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, AT_ONCE))
    return all(set_option(name, value) for name, value in options)
