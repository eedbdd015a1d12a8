"""The HTTP client of the Hub libraries, with hooks that end what makes no progress.

Knows httpx's public hooks only; `hfcli.transfers` puts it in place.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hfcli.compat.hub import watch_content
from hfcli.transfers import SLOWEST, StalledError


def http_library() -> Any:
    """Return the library of huggingface_hub's own client: httpx2, or httpx before version 2."""
    from huggingface_hub import get_session

    names = {kind.__module__.partition(".")[0] for kind in type(get_session()).__mro__}
    return import_module("httpx2" if "httpx2" in names else "httpx")


if TYPE_CHECKING:
    import httpx2 as httpx
else:
    httpx = http_library()
HTTPError = httpx.HTTPError

UPLOADS = 4  # times as long: the Hub answers when it has stored what was sent
AGAIN = {408, 429, 500, 502, 503, 504}  # the libraries ask again after these


def make_client(seconds: float, hooks: Sequence[Callable[..., Any]]) -> httpx.Client:
    """Make a client whose requests fail when they make no progress.

    Args:
        seconds: without progress, after which a request fails.
        hooks: of the library, called before each request.
    """
    watch = Watch(seconds)
    return httpx.Client(
        event_hooks={"request": [*hooks, watch.before], "response": [watch.after]},
        follow_redirects=True,
        timeout=seconds,
    )


class Watch:
    """Ends transfers that make no progress; one for all threads of a download.

    Args:
        seconds: without progress, after which a transfer fails.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.lock = threading.Lock()
        self.since: dict[str, float] = {}  # address -> when it was asked for, first of all tries
        self.heads: dict[int, float] = {}  # requests without an answer -> when they are given up
        self.last = "no answer"
        self.failed: StalledError | None = None
        self.sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.thread: threading.Thread | None = None

    def before(self, request: httpx.Request) -> None:
        """Bound the waits of a request; no further try is made when the deadline has passed."""
        sends = request.method not in ("GET", "HEAD")
        most = self.seconds * (UPLOADS if sends else 1)
        now = time.monotonic()
        with self.lock:
            waited = now - self.since.setdefault(str(request.url), now)
            self.heads[id(request)] = now + most
            if self.thread is None or not self.thread.is_alive():  # as after a fork
                self.thread = threading.Thread(target=self._shut_down, daemon=True)
                self.thread.start()
        if self.failed is not None or waited > most:
            self._forget(request)
            raise self.failed or self.stalled()
        given = request.extensions.get("timeout", {})
        kinds = ("connect", "read", "write", "pool")
        request.extensions["timeout"] = {k: min(given.get(k) or most, most) for k in kinds}
        if sends:  # the libraries' own limits are for downloads
            request.extensions["timeout"].update(read=most, write=most)
        request.extensions["trace"] = self._trace

    def after(self, response: httpx.Response) -> None:
        """Watch the content of an answer."""
        self._forget(response.request)
        if response.status_code in AGAIN:
            self.last = f"HTTP {response.status_code}"
            wait = _asked_to_wait(response)
            if wait > self.seconds:
                raise self.fail(f"the Hub asks to wait {wait} seconds ({self.last})")
        watch_content(response, WatchedStream(response, self))

    def progress(self, address: str) -> None:
        """Something was received from an address: its deadline begins anew."""
        with self.lock:
            self.since.pop(address, None)

    def stalled(self) -> StalledError:
        """The error for a transfer without progress."""
        return self.fail(
            f"the Hub made no progress for {self.seconds:g} seconds, and gave {self.last}"
        )

    def fail(self, why: str) -> StalledError:
        """The error that this and all further requests of the download end with."""
        self.failed = StalledError(why)
        return self.failed

    def _forget(self, request: httpx.Request) -> None:
        with self.lock:
            self.heads.pop(id(request), None)

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Remember the sockets; httpx calls this at each step of a connection."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            found = info["return_value"].get_extra_info("socket")
            if isinstance(found, socket.socket):
                self.sockets.add(found)

    def _shut_down(self) -> None:
        """Wake those who wait for the head of an answer, which may come a byte a second."""
        while True:
            time.sleep(self.seconds / 4)
            now = time.monotonic()
            with self.lock:
                late = [one for one, end in self.heads.items() if now > end]
                for one in late:
                    del self.heads[one]
            for found in list(self.sockets) if late else ():
                with contextlib.suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)


def _asked_to_wait(response: httpx.Response) -> int:
    """Seconds that an answer asks to wait, 0 where it asks for nothing."""
    after = response.headers.get("retry-after", "").strip()
    limit = re.search(r"\bt=(\d{1,9})\b", response.headers.get("ratelimit", ""))
    asked = int(after) if re.fullmatch(r"[0-9]{1,9}", after) else 0
    return max(asked, int(limit[1]) if limit else 0)


class WatchedStream(httpx.SyncByteStream):
    """The content of an answer; reading it fails where it comes too slowly.

    Only waiting counts, not what is done with the content in between.
    """

    def __init__(self, response: httpx.Response, watch: Watch) -> None:
        self.inner: Any = response.stream
        self.address = str(response.request.url)
        # What is asked for again has made no progress.
        self.counts = response.status_code not in AGAIN
        self.watch = watch

    def __iter__(self) -> Iterator[bytes]:
        pieces = iter(self.inner)
        waited, received = 0.0, 0
        whole, self.counts = self.counts, False  # an error within is no progress
        while True:
            start = time.monotonic()
            piece = next(pieces, None)
            if piece is None:
                self.counts = whole
                return
            waited += time.monotonic() - start
            received += len(piece)
            if waited > self.watch.seconds:
                if received < SLOWEST * waited:
                    raise self.watch.fail(
                        f"the Hub sends {received / waited:.0f} bytes a second"
                        f" (less than {SLOWEST} for {self.watch.seconds:g} seconds)"
                    )
                waited, received = 0.0, 0
                self.watch.progress(self.address)
            try:
                yield piece
            except GeneratorExit:  # whoever reads has enough
                self.counts = whole
                raise

    def close(self) -> None:
        """Close the connection."""
        self.inner.close()
        if self.counts:
            self.watch.progress(self.address)

    @property
    def elapsed(self) -> Any:
        """Time until the answer began, which the client looks up here."""
        return getattr(self.inner, "elapsed", None)
