"""Models that were merged or pushed. Frozen; nothing is computed here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class MergeResult:
    """An adapter that was merged into its base.

    Args:
        adapter, base: what the user and the adapter call them.
        parameters: of the whole model.
        try_next: commands that use the model, with `{folder}` where its folder goes.
    """

    output: str
    adapter: str
    base: str
    task: str
    dtype: str
    parameters: int
    try_next: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class PushResult:
    """A folder that was uploaded.

    Args:
        files: paths in the repository, sorted.
        n_bytes: of all files together.
    """

    url: str
    repo_id: str
    private: bool
    files: list[str]
    n_bytes: int
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
