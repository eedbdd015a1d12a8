"""Commands as they are shown, quoted for the shell of the system that they are copied into."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence

_SYSTEM = os.name


def join(arguments: Sequence[str], variables: Mapping[str, str] | None = None) -> str:
    """Return a command line of these arguments, with variables set for it."""
    before = (variables or {}).items()
    if _SYSTEM == "nt":  # cmd.exe
        from subprocess import list2cmdline  # here: it takes time of every start

        return "".join([*(f'set "{k}={v}" && ' for k, v in before), list2cmdline(arguments)])
    return " ".join([*(f"{k}={shlex.quote(v)}" for k, v in before), shlex.join(arguments)])


def quote(argument: str) -> str:
    """Return one argument as a part of a command line."""
    return join([argument])
