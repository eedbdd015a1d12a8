"""A Hub of this machine's own: folders served under the Hub's HTTP paths, for the real clients.

Serves what huggingface_hub and datasets ask for when they load a model or a data set: repository
info, file trees, path infos, and files with their ETag and commit.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.fake_uploads import Uploads

COMMIT = "c0ffee" + "0" * 34


@contextmanager
def fake_hub(
    repos: dict[str, Path], asked: list[str] | None = None, uploads: Uploads | None = None
) -> Iterator[str]:
    """Serve `repos` ("models/owner/name" or "datasets/owner/name" -> folder).

    Args:
        repos: what the Hub has.
        asked: gets every path that was asked for.
        uploads: takes what is uploaded; None: nothing can be.

    Yields:
        The endpoint, for HF_ENDPOINT.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(head=True)

        def do_GET(self) -> None:
            self.answer(head=False)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if uploads is not None and self.upload(body):
                return
            kind, owner, name, _rest = split_api(self.path)
            folder = repos.get(f"{kind}/{owner}/{name}")
            wanted = json.loads(body or b"{}").get("paths", [])
            wanted = [wanted] if isinstance(wanted, str) else wanted
            if folder is None:
                self.missing("RepoNotFound")
                return
            self.send_json([e for e in tree(folder) if e["path"] in wanted])

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if uploads is None or not self.upload(body):
                self.missing("EntryNotFound")

        def upload(self, body: bytes) -> bool:
            """Whether this was part of an upload, and is answered."""
            assert uploads is not None
            host = f"http://{self.headers['Host']}"
            given = self.headers.get("Authorization", "")
            answer = uploads.answer(host, self.path, given, body, repos)
            if answer is not None:
                self.send_json(answer[1], status=answer[0])
            return answer is not None

        def answer(self, *, head: bool) -> None:
            if asked is not None:
                asked.append(self.path)
            path = unquote(urlsplit(self.path).path)
            if path == "/":
                self.send_json({})
            elif uploads is not None and path == "/api/whoami-v2":
                self.upload(b"")
            elif path.startswith("/api/"):
                self.api(path)
            elif "/resolve/" in path:
                self.file(path, head)
            else:
                self.missing("EntryNotFound")

        def api(self, path: str) -> None:
            kind, owner, name, rest = split_api(path)
            folder = repos.get(f"{kind}/{owner}/{name}")
            if folder is None:
                self.missing("RepoNotFound")
            elif rest.startswith("tree/"):
                under = rest.split("/", 2)[2] if rest.count("/") > 1 else ""
                recursive = "recursive=true" in self.path.lower()
                self.send_json(tree(folder, under, recursive=recursive))
            elif rest in ("", f"revision/{COMMIT}", "revision/main"):
                siblings = [{"rfilename": e["path"]} for e in tree(folder)]
                info = {
                    "_id": "1",
                    "sha": COMMIT,
                    "siblings": siblings,
                    "tags": [],
                    "private": uploads is not None and f"{owner}/{name}" in uploads.private,
                }
                self.send_json({"id": f"{owner}/{name}", **info})
            else:
                self.missing(
                    "RevisionNotFound" if rest.startswith("revision/") else "EntryNotFound"
                )

        def file(self, path: str, head: bool) -> None:
            repo, _, rest = path.strip("/").partition("/resolve/")
            repo = repo if repo.startswith(("datasets/", "spaces/")) else f"models/{repo}"
            file = repos.get(repo, Path("nowhere")) / rest.partition("/")[2]
            if not file.is_file():
                self.missing("EntryNotFound" if repo in repos else "RepoNotFound")
                return
            data = file.read_bytes()
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if not head:
                self.wfile.write(data)

        def missing(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send_json(self, value: Any, *, status: int = 200) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def hub_env(endpoint: str, home: Path) -> dict[str, str]:
    """Environment of a command that talks to `endpoint` and keeps its cache in `home`."""
    # Code under test switches these on in its own process, and children inherit them.
    online = dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"), "0")
    return {**online, "HF_HOME": str(home), "HF_ENDPOINT": endpoint}


def split_api(path: str) -> tuple[str, str, str, str]:
    """/api/KIND/OWNER/NAME/REST -> its four parts."""
    parts = [*unquote(urlsplit(path).path).strip("/").split("/", 4), "", "", ""]
    return parts[1], parts[2], parts[3], parts[4]


def tree(folder: Path, under: str = "", *, recursive: bool = True) -> list[dict[str, Any]]:
    """What the Hub tells of the files (and, one level deep, the folders) of a repository."""
    found = (folder / under).rglob("*") if recursive else (folder / under).glob("*")
    return [_entry(folder, path) for path in sorted(found) if path.is_file() or not recursive]


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    name = str(path.relative_to(folder))
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest()}
    data = path.read_bytes()
    return {
        "type": "file",
        "path": name,
        "size": len(data),
        "oid": hashlib.sha1(data).hexdigest(),
    }
