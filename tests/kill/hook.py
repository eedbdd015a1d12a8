"""Kills this process at its k-th call that changes a file, or after some seconds.

`install` wraps the calls once, in the process that forks; a child counts them when its environment
says so. Writers in C++ and Rust (torch.save, safetensors) count as one call each.
"""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

AT = "TEST_KILL_AT"  # number of the call
AFTER = "TEST_KILL_AFTER"  # seconds since the first call, colon, number of the signal
COUNT = "TEST_KILL_COUNT"  # file that gets a byte a call
CALLS = (
    "replace", "rename", "unlink", "remove", "rmdir", "mkdir",
    "open", "write", "fsync", "ftruncate",
)  # fmt: skip
_made = 0
_open = os.open
_write = os.write


def install() -> None:
    """Wrap the calls; in a process without the variables above nothing changes."""
    import safetensors.torch
    import torch

    for name in CALLS:
        setattr(os, name, _counted(getattr(os, name)))
    io.open = _counted(io.open, _writes)  # what pathlib calls
    torch.save = _counted(torch.save)
    safetensors.torch.save_file = _counted(safetensors.torch.save_file)


def _writes(*arguments: Any, **options: Any) -> bool:
    mode = options.get("mode", arguments[1] if len(arguments) > 1 else "r")
    return any(letter in str(mode) for letter in "wax+")


def _counted(
    real: Callable[..., Any], counts: Callable[..., bool] = lambda *_, **__: True
) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        at = _this_call() if counts(*arguments, **options) else None
        if at is not None and at % 2:
            os.kill(os.getpid(), signal.SIGKILL)  # before the call
        result = real(*arguments, **options)
        if at is not None:
            os.kill(os.getpid(), signal.SIGKILL)  # after it
        return result

    return call


def _this_call() -> int | None:
    """The number of this call, where it is the one to be killed at."""
    global _made
    if not any(name in os.environ for name in (AT, AFTER, COUNT)):
        return None
    _made += 1
    if COUNT in os.environ:
        file = _open(os.environ[COUNT], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _write(file, b".")
        os.close(file)
    if AFTER in os.environ and _made == 1:
        seconds, _, number = os.environ[AFTER].partition(":")
        timer = threading.Timer(float(seconds), os.kill, (os.getpid(), int(number)))
        timer.daemon = True
        timer.start()
    return _made if str(_made) == os.environ.get(AT) else None


def calls_of(file: Path) -> int:
    """Return how many calls a command made that was told to count them into `file`."""
    return file.stat().st_size
