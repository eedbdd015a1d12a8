"""A Hub that breaks off, lies, or never ends: a proxy before a sound one, with one fault."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.fake_hub import fake_hub
from tests.fake_uploads import Uploads

# What is wrong. `where` is "api", "file", "head" (of a file), "all" or "none".
FAULTS = (
    "hang", "drip", "drip_headers", "hang_in_body", "silence", "cut", "longer", "html", "empty",
    "garbage", "http_500", "http_503", "http_429", "http_429_for_hours", "http_401", "http_403",
    "http_404", "http_418", "redirects", "redirect_to_nothing", "long_header", "null", "list",
    "number", "other_json", "gzip", "etags", "no_etag", "negative_length", "parent_path",
)  # fmt: skip
PLACES = ("all", "api", "file", "head")
LOOP = b"HTTP/1.1 302 Found\r\nLocation: /again/and/again\r\nContent-Length: 0\r\n\r\n"
CLOSED = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def broken_hub(
    fault: str, where: str, repos: dict[str, Path], uploads: Uploads | None = None
) -> Iterator[str]:
    """Serve `repos` with a fault.

    Yields:
        The endpoint, for HF_ENDPOINT.
    """
    with fake_hub(repos, uploads=uploads) as sound, socket.create_server(("127.0.0.1", 0)) as own:
        endpoint = f"http://127.0.0.1:{own.getsockname()[1]}"
        proxy = _Proxy(fault, where, sound, endpoint)
        threading.Thread(target=proxy.accept, args=(own,), daemon=True).start()
        try:
            yield endpoint
        finally:
            proxy.ended.set()


class _Proxy:
    def __init__(self, fault: str, where: str, sound: str, endpoint: str) -> None:
        self.fault, self.where, self.endpoint = fault, where, endpoint
        self.sound = urlsplit(sound).netloc
        self.ended = threading.Event()
        self.asked = 0

    def accept(self, server: socket.socket) -> None:
        """Serve until the server's socket is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            while True:
                file = connection.makefile("rb")
                method, path, _ = file.readline().decode().split(" ", 2)
                headers = http.client.parse_headers(file)
                body = file.read(int(headers.get("Content-Length", 0)))
                answer: bytes | None = self._sound(method, path, dict(headers.items()), body)
                self.asked += 1
                if path != "/" and answer and self._applies(method, path):
                    answer = self._broken(connection, answer, method)
                if answer is None:
                    return
                connection.sendall(answer)

    def _applies(self, method: str, path: str) -> bool:
        is_file = "/resolve/" in path
        here = {"api": not is_file, "file": is_file and method == "GET", "all": True}
        here |= {"head": is_file and method == "HEAD", "none": False}
        return here[self.where]

    def _sound(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        """What the sound Hub answers, with links that lead back here."""
        upstream = http.client.HTTPConnection(self.sound, timeout=20)
        upstream.request(method, path, body, {**headers, "Connection": "close"})
        got = upstream.getresponse()
        content = got.read().replace(f"http://{self.sound}".encode(), self.endpoint.encode())
        lines = [f"HTTP/1.1 {got.status} {got.reason}"]
        for name, value in got.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                lines.append(f"{name}: {value.replace(f'http://{self.sound}', self.endpoint)}")
        length = got.getheader("Content-Length", "0") if method == "HEAD" else str(len(content))
        head = "\r\n".join([*lines, f"Content-Length: {length}"]).encode() + b"\r\n\r\n"
        return head + (b"" if method == "HEAD" else content)

    def _broken(self, connection: socket.socket, answer: bytes, method: str) -> bytes | None:
        """Another answer, or None where this one was sent or never comes."""
        head, _, body = answer.partition(b"\r\n\r\n")
        made = self._whole(head, body, method)
        if made is not None:
            return made
        if self.fault == "hang":
            self.ended.wait()
        elif self.fault == "hang_in_body":
            connection.sendall(head + b"\r\n\r\n" + body[: len(body) // 2])
            self.ended.wait()
        elif self.fault in ("drip", "drip_headers"):
            start = b"" if self.fault == "drip_headers" else head + b"\r\n\r\n"
            connection.sendall(start)
            self._drip(connection, answer[len(start) :])
        elif self.fault == "garbage":
            connection.sendall(b"\x00\x01garbage\r\n\r\n" * 10)
        return None  # "silence": the connection ends

    def _drip(self, connection: socket.socket, data: bytes) -> None:
        for i in range(len(data)):
            connection.sendall(data[i : i + 1])
            if self.ended.wait(0.3):
                return

    def _whole(self, head: bytes, body: bytes, method: str) -> bytes | None:
        """The answer of a fault that is one whole answer."""
        none = method == "HEAD"
        kind, _, number = self.fault.partition("_")
        if kind == "http":
            wait = b"Retry-After: 9000\r\n" if "hours" in number else b""
            text = b'{"error": "no \x1b[31mred"}'
            line = f"HTTP/1.1 {number[:3]} Told\r\nContent-Length: {len(text)}\r\n".encode()
            return line + wait + b"\r\n" + (b"" if none else text)
        contents = {
            "html": b"<html>log in first</html>", "empty": b"", "null": b"null", "list": b"[5]",
            "number": b"5", "other_json": b'{"siblings": 5, "sha": []}',
            "parent_path": body.replace(b'"config.json"', b'"../../../../outside.json"'),
        }  # fmt: skip
        if self.fault in contents:
            return _with_length(head, contents[self.fault], none)
        start = head + b"\r\n"
        wholes = {
            "redirects": LOOP,
            "redirect_to_nothing": CLOSED,
            "long_header": start + b"X-Long: " + b"a" * 5_000_000 + b"\r\n\r\n",
            "gzip": start + b"Content-Encoding: gzip\r\n\r\n" + body,
            "negative_length": _without(head, b"content-length")
            + b"\r\nContent-Length: -5\r\n\r\n",
            "etags": _without(head, b"etag")
            + f'\r\nETag: "{time.monotonic_ns()}"\r\n\r\n'.encode()
            + body,
            "no_etag": _without(head, b"etag") + b"\r\n\r\n" + body,
        }
        return wholes.get(self.fault)


def _with_length(head: bytes, body: bytes, no_body: bool) -> bytes:
    line = f"\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return _without(head, b"content-length") + line + (b"" if no_body else body)


def _without(head: bytes, name: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(name + b":"))
