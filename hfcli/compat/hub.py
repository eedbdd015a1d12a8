"""What the Hub's libraries (huggingface_hub 1.22 to 2.4, datasets, evaluate) settle at import.

The public way is the environment, which each reads once; it is set by `hfcli.hub` in any case.
"""

from __future__ import annotations

import sys
from typing import Any

MODULES = ("huggingface_hub.constants", "datasets.config", "evaluate.config")
SWITCHES = ("HF_HUB_OFFLINE", "HF_EVALUATE_OFFLINE")


def switch_imported(*, offline: bool) -> None:
    """Tell the libraries that are imported already; those without such a constant stay as is."""
    for name in MODULES:
        module = sys.modules.get(name)
        for switch in SWITCHES:
            if hasattr(module, switch):
                setattr(module, switch, offline)


def watch_content(response: Any, watched: Any) -> None:
    """Let an answer's content be read through `watched`, which counts what comes in.

    Args:
        response: of httpx.
        watched: its stream, or one around it.

    An httpx whose answers have no such attribute reads without it, under its own time limits.
    """
    if hasattr(response, "stream"):
        response.stream = watched
