"""The memory a run will need, from one batch passed through the model: no formula of activations
fits every architecture, number type and loss. Trains nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcli.device import device_module
from hfcli.fast.memory import trim

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
        device: its own memory is measured; on a CPU that of the whole process.
        trained_parameters: the optimizer's state, which `work` lacks, is counted from these.

    Returns:
        None where the system does not tell.
    """
    if device.type == "cpu":
        _reset()
        work()
        peak = _peak()
    else:
        peak = _peak_of_accelerator(work, device)
    return peak + ADAM_BYTES * trained_parameters if peak else None


def used_memory(device: torch.device) -> int:
    """Bytes in use now, counted as `peak_memory` counts; 0 where the system does not tell."""
    if device.type == "cpu":
        trim()
        return _told("VmRSS") or _by_psutil("rss")
    module = device_module(device)
    with suppress(RuntimeError, NotImplementedError):  # the driver does not tell
        if _counts_peaks(module):
            return int(module.memory_allocated(device))
        if hasattr(module, "driver_allocated_memory"):
            module.empty_cache()
            return int(module.driver_allocated_memory())
    return 0


def _peak_of_accelerator(work: Callable[[], object], device: torch.device) -> int:
    """Largest memory in bytes on an accelerator while it works, or 0 where it is not told.

    MPS counts no peak: what its allocator holds after the work is as much as the work needed.
    """
    module = device_module(device)
    if not _counts_peaks(module):
        used_memory(device)  # gives back what earlier work left
        work()
        return int(getattr(module, "driver_allocated_memory", int)())
    module.reset_peak_memory_stats(device)
    work()
    return int(module.max_memory_allocated(device))


def _counts_peaks(module: Any) -> bool:
    """Whether torch counts the peak of a kind of accelerator: cuda, xpu and npu do."""
    return hasattr(module, "reset_peak_memory_stats") and hasattr(module, "max_memory_allocated")


def _reset() -> None:
    trim()
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return  # the peak is then that of the whole process so far


def _peak() -> int:
    """Largest resident memory in bytes since the reset, or 0 where it is not told."""
    if sys.platform == "darwin":
        import resource  # Windows has no such module

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _told("VmHWM") or _by_psutil("peak_wset")


def _by_psutil(name: str) -> int:
    """A size in bytes that psutil knows on this system (macOS, Windows), or 0."""
    import psutil

    return int(getattr(psutil.Process().memory_info(), name, 0))


def _told(name: str) -> int:
    """A size in bytes from proc(5), or 0."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return 1024 * int(next(found, "0"))
