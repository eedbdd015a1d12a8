"""The memory a run will need, from one batch passed through the model: no formula of activations
fits every architecture, number type and loss. Trains nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hfcli.freed_memory import give_back

if TYPE_CHECKING:
    import torch

ADAM_BYTES = 8  # two float32 moments a trained parameter
RESET_PEAK = "5"  # proc(5), clear_refs: the peak begins anew at what is used now


def peak_memory(
    *, work: Callable[[], object], device: torch.device, trained_parameters: int
) -> int | None:
    """Bytes in use at the peak of a run whose largest batches `work` stands for.

    Args:
        work: a forward and backward pass of the largest batch, and a scoring pass.
        device: its memory is measured; on a CPU that of the whole process.
        trained_parameters: the optimizer's state, which `work` lacks, is counted from these.

    Returns:
        None where the system does not tell.
    """
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        work()
        peak = int(torch.cuda.max_memory_allocated(device))
    else:
        _reset()
        work()
        peak = _peak()
    return peak + ADAM_BYTES * trained_parameters if peak else None


def used_memory(device: torch.device) -> int:
    """Bytes in use now, counted as `peak_memory` counts; 0 where the system does not tell."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    give_back()
    return _told("VmRSS")


def _reset() -> None:
    give_back()
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return  # the peak is then that of the whole process so far


def _peak() -> int:
    """Largest resident memory in bytes since the reset, or 0 where it is not told."""
    if sys.platform == "darwin":
        import resource  # Windows has no such module

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _told("VmHWM")


def _told(name: str) -> int:
    """A size in bytes from proc(5), or 0."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return 1024 * int(next(found, "0"))
