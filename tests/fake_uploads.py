"""The upload side of the fake Hub: make a repository, tell how files are sent, take them, commit.

Speaks the Hub's HTTP protocol without its newer storage (HF_HUB_DISABLE_XET=1): small files travel
in the commit, weights by git-lfs. A file of a commit is only there when all of it has arrived.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_right"
UPLOAD_ENV = {"HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
Answer = tuple[int, Any]


@dataclass
class Uploads:
    """What was uploaded, in `folder/owner/name`.

    Args:
        folder: where the repositories are made.
        token: the token that may write.
        read_only: owners that the token may not write for.
        private: repositories that were made private.
        breaks: whether the storage of large files fails.
    """

    folder: Path
    token: str = TOKEN
    read_only: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)
    breaks: bool = False
    sent: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)
    _large: dict[str, bytes] = field(default_factory=dict)

    def answer(
        self, host: str, target: str, authorization: str, body: bytes, repos: dict[str, Path]
    ) -> Answer | None:
        """Status and JSON for a request that belongs to an upload, else None."""
        path = unquote(urlsplit(target).path).strip("/")
        if path.startswith("storage/"):
            return self._store(path, body)
        parts = path.removeprefix("api/").split("/")
        steps: dict[str, Callable[[], Answer]] = {
            "whoami-v2": lambda: (200, {"name": "someone", "orgs": []}),
            "validate-yaml": lambda: (200, {"warnings": [{"message": "no license"}], "errors": []}),
            "create": lambda: self._create(host, json.loads(body), repos),
            "preupload": lambda: self._modes(json.loads(body)),
            "batch": lambda: self._batch(host, json.loads(body)),
            "commit": lambda: self._commit(host, "/".join(parts[1:3]), body),
        }
        step = next((name for name in steps if name in parts), None)
        if step is None:
            return None
        if authorization != f"Bearer {self.token}":
            return 401, {"error": "Invalid credentials in Authorization header"}
        return steps[step]()

    def _create(self, host: str, wanted: dict[str, Any], repos: dict[str, Path]) -> Answer:
        owner = wanted["organization"] or "someone"
        repo = f"{owner}/{wanted['name']}"
        if owner in self.read_only:
            return 403, {"error": f"You don't have the rights to create a model under {owner}"}
        if f"models/{repo}" in repos:
            return 409, {"error": "You already created this model repo", "url": f"{host}/{repo}"}
        (self.folder / repo).mkdir(parents=True)
        repos[f"models/{repo}"] = self.folder / repo
        if wanted.get("visibility") == "private":
            self.private.add(repo)
        return 200, {"url": f"{host}/{repo}", "name": repo}

    def _modes(self, wanted: dict[str, Any]) -> Answer:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in wanted["files"]
        ]
        return 200, {"files": files}

    def _batch(self, host: str, wanted: dict[str, Any]) -> Answer:
        objects = []
        for item in wanted["objects"]:
            # Without `actions` the client knows that the content is there already.
            upload = {"upload": {"href": f"{host}/storage/{item['oid']}"}}
            there = item["oid"] in self._large
            objects.append(item if there else {**item, "actions": upload})
        return 200, {"transfer": "basic", "objects": objects}

    def _store(self, path: str, body: bytes) -> Answer:
        if self.breaks:
            return 400, {"error": "no room"}
        oid = path.removeprefix("storage/")
        assert hashlib.sha256(body).hexdigest() == oid, "the bytes are not those that were promised"
        self._large[oid] = body
        self.sent.append(oid)
        return 200, {}

    def _commit(self, host: str, repo: str, body: bytes) -> Answer:
        header, *changes = [json.loads(line) for line in body.splitlines()]
        self.commits.append(header["value"]["summary"])
        for change in changes:
            value = change["value"]
            large = change["key"] == "lfsFile"
            data = self._large[value["oid"]] if large else base64.b64decode(value["content"])
            path = self.folder / repo / value["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return 200, {"commitUrl": f"{host}/{repo}/commit/1", "commitOid": "1" * 40}
