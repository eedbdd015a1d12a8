"""Transfers from and to the Hub, each with a deadline for progress.

The Hub libraries wait without end for an answer that never comes, and for one that comes a byte a
second. `guard` gives their shared HTTP client hooks that end both: a transfer fails when for
HFCLI_HUB_TIMEOUT seconds (30) nothing arrives, or less than SLOWEST bytes a second. It uses public
hooks of huggingface_hub and its HTTP client only. Transfers by hf_xet, which have no such hook, are
off unless HF_HUB_DISABLE_XET=0 asks for them.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

from hfcli.errors import HfcliError, RecipeError
from hfcli.foreign import foreign_errors

VARIABLE = "HFCLI_HUB_TIMEOUT"
DEFAULT_SECONDS = 30.0
SLOWEST = 1000  # bytes a second, on average over the deadline
XET = "HF_HUB_DISABLE_XET"
_library_hooks: list[list[Any]] = []  # of the library's own client, once they were looked up


class StalledError(Exception):
    """A transfer made no progress; the libraries do not know it, and so do not try again."""


def hub_seconds() -> float:
    """Seconds that a transfer may go without progress.

    Raises:
        RecipeError: HFCLI_HUB_TIMEOUT is not a number above 0.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return DEFAULT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise RecipeError(
            f"{VARIABLE} is {text[:40]!r}, not a number of seconds above 0",
            hint=f"unset it for {DEFAULT_SECONDS:.0f} seconds",
        )
    return seconds


def guard() -> None:
    """Give the Hub libraries' HTTP client its deadline; to be called before each use of them.

    Raises:
        RecipeError: HFCLI_HUB_TIMEOUT is not a number above 0.
    """
    seconds = hub_seconds()
    os.environ.setdefault(XET, "1")
    from huggingface_hub import close_session, get_session, set_client_factory

    from hfcli.hub_client import make_client

    if not _library_hooks:
        _library_hooks.append(get_session().event_hooks.get("request", []))
    close_session()
    set_client_factory(lambda: make_client(seconds, _library_hooks[0]))


class network_errors(foreign_errors):  # noqa: N801 - as its base
    """Turn what a library raises over an answer of the Hub into one error of hfcli's.

    Args:
        kind: class of the error to raise.
        message: what failed.
        passes: errors that the caller tells better.
    """

    def __init__(
        self,
        kind: type[HfcliError],
        message: str,
        *,
        passes: tuple[type[BaseException], ...] = (),
    ) -> None:
        super().__init__(kind, message, hint="try again later, or with local files")
        self.passes = passes

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        stalled = stalled_behind(error)
        if stalled is not None:
            raise self.kind(
                f"{self.message} ({stalled})", hint=f"{VARIABLE}=SECONDS waits longer"
            ) from error
        if not isinstance(error, self.passes):
            super().__exit__(kind, error, traceback)


def stalled_behind(error: BaseException | None) -> StalledError | None:
    """The StalledError that an error was made of, if it was."""
    while error is not None:
        if isinstance(error, StalledError):
            return error
        error = error.__cause__ or error.__context__
    return None
