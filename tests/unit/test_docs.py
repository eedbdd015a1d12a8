"""The generated pages are what the code gives, and the README's promises are in the code."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest

from tests.helpers import ROOT, is_pinned


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["recipes.md", "cli.md", "recipe.schema.json"])
def test_generated_page_is_up_to_date(name: str) -> None:
    if not is_pinned():
        pytest.skip("the pages are made with the pinned typer, pydantic and transformers")
    made = generator().PAGES[name]()
    shown = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert made == shown, "run: python docs/generate.py"


def test_every_link_in_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) >= 3
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_changelog_knows_this_version() -> None:
    from hfcli import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_bundled_model_is_small() -> None:
    files = [path for path in (ROOT / "hfcli" / "bundled").iterdir() if path.is_file()]
    assert {"README.md", "model.safetensors", "tokenizer.json"} <= {path.name for path in files}
    assert sum(path.stat().st_size for path in files) < 12_000_000
