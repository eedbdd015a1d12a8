"""The only door to the network: is the Hub reachable, what is in the cache, fetch what is not.

Everything else loads from local paths with the Hub libraries switched offline, because an
unreachable Hub makes them retry for minutes. Knows nothing about tasks.
"""

from __future__ import annotations

import http.client
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hfcli.compat.hub import switch_imported

REACH_TIMEOUT = 3.0  # seconds, for name look-up and answer together
SWITCHES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE")
_found: dict[str, str | None] = {}  # the switches as `go_offline` found them


def is_offline() -> bool:
    """Whether the environment or `go_offline` forbids the network."""
    values = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in {"1", "ON", "YES", "TRUE"} for value in values)


def go_offline() -> None:
    """Forbid the network to every Hugging Face library in this process, imported or not."""
    for name in SWITCHES:
        _found.setdefault(name, os.environ.get(name))
        os.environ[name] = "1"
    switch_imported(offline=True)


@contextmanager
def online() -> Iterator[None]:
    """The network as the user left it, for an upload after models were loaded offline.

    `go_offline` guards loading, it is no wish of the user's; but `--offline` calls it too, so that
    a command that takes both has to refuse the pair itself.
    """
    switched = dict(_found)
    for name, value in switched.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    switch_imported(offline=is_offline())
    try:
        yield
    finally:
        if switched:
            go_offline()


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
