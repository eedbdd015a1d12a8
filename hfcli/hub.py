"""The only door to the network: is the Hub reachable, what is in the cache, fetch what is not.

Everything else loads from local paths with the Hub libraries switched offline, because an
unreachable Hub makes them retry for minutes. Knows nothing about tasks.
"""

from __future__ import annotations

import http.client
import os
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

REACH_TIMEOUT = 3.0  # seconds, for name look-up and answer together


def is_offline() -> bool:
    """Whether the environment or `go_offline` forbids the network."""
    values = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in {"1", "ON", "YES", "TRUE"} for value in values)


def go_offline() -> None:
    """Forbid the network to every Hugging Face library in this process, imported or not."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"):
        os.environ[name] = "1"
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    for name in ("datasets.config", "evaluate.config"):
        config = sys.modules.get(name)
        if config is not None:
            config.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
            config.HF_EVALUATE_OFFLINE = True  # type: ignore[attr-defined]


def reachable(timeout: float = REACH_TIMEOUT) -> bool:
    """Whether the Hub answers at all within `timeout` seconds; opens no socket when offline.

    A thread, because name look-up cannot be timed out; it ends with the process.
    """
    if is_offline():
        return False
    answered = threading.Event()
    thread = threading.Thread(target=_ask, args=(answered, timeout), daemon=True)
    thread.start()
    thread.join(timeout)
    return answered.is_set()


def _ask(answered: threading.Event, timeout: float) -> None:
    # urllib: it honours proxies, and costs no import of a Hub library when there is no network.
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        with urllib.request.urlopen(
            urllib.request.Request(endpoint, method="HEAD"), timeout=timeout
        ):
            answered.set()
    except urllib.error.HTTPError:
        answered.set()  # an answer, if not a friendly one
    except (OSError, http.client.HTTPException):
        return


def commit_of(snapshot: Path) -> str | None:
    """The commit a snapshot folder of the cache holds, or None for any other folder."""
    return snapshot.name if snapshot.parent.name == "snapshots" else None
