"""One command of a fuzz case."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Command:
    """`hfcli ARGUMENTS`, run in the folder of its case.

    Attributes:
        arguments: what follows `hfcli`.
        env: added to the environment.
        stdin: what the command can read.
        cpu_seconds: processor time after which it counts as hung.
        wall_seconds: wall time after which it counts as hung.
    """

    arguments: Sequence[str | os.PathLike[str]]
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    cpu_seconds: float = 5
    wall_seconds: float = 60
