"""Print what tests/unit needs: hfcli's dependencies and test tools, without torch and its users."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

NEEDS_TORCH = {"torch", "accelerate", "peft"}
EXTRAS = ("structured", "text-metrics")
NOT_USED = {"hfcli", "playwright", "axe-playwright-python"}


def requirements() -> list[str]:
    """Return the requirements in pyproject.toml's order."""
    text = Path(__file__).parent.parent.joinpath("pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    found = [*project["dependencies"], *extras["test"]]
    found += [line for name in EXTRAS for line in extras[name]]
    return [line for line in found if _name(line) not in NEEDS_TORCH | NOT_USED]


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9-]", requirement, maxsplit=1)[0]


if __name__ == "__main__":
    print("\n".join(requirements()))
