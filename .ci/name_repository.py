"""Write the address of the repository that makes a release into pyproject.toml."""

from __future__ import annotations

import sys
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def urls(repository: str) -> str:
    """Return the table of URLs, which PyPI shows beside the package."""
    return f"""
[project.urls]
Homepage = "{repository}"
Documentation = "{repository}#readme"
Changelog = "{repository}/blob/main/CHANGELOG.md"
Issues = "{repository}/issues"
"""


if __name__ == "__main__":
    with PYPROJECT.open("a", encoding="utf-8") as file:
        file.write(urls(sys.argv[1]))
