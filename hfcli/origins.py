"""Where the values at work were typed, so that an error can name that place.

A recipe key or a flag is called by the flag or the variable that gave its value:
`task.stride` is `--stride` where that was typed, and `--stride` is `HFCLI_EVAL_STRIDE` where the
variable gave it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_PLACES: ContextVar[Mapping[str, str] | None] = ContextVar("places", default=None)


def as_typed(name: str) -> str:
    """Return what gave the value of a recipe key or a flag; without such a place, the name."""
    return (_PLACES.get() or {}).get(name, name)


@contextmanager
def typed_at(places: Mapping[str, str]) -> Iterator[None]:
    """Let `as_typed` know more names.

    Args:
        places: recipe key or flag -> flag or variable.
    """
    token = _PLACES.set({**(_PLACES.get() or {}), **places})
    try:
        yield
    finally:
        _PLACES.reset(token)
