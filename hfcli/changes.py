"""What differs between two sets of settings, for people. Knows nothing about what they set."""

from __future__ import annotations

import json
from typing import Any


def differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """`name: old -> new` of every value that differs."""
    found: list[str] = []
    for name in [*before, *(name for name in now if name not in before)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}: {_short(old)} -> {_short(new)}")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
