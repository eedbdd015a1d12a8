"""What docs/extending.md shows works as it is written there, in a package beside hfcli."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

from tests.helpers import ROOT, hfcli

PAGE = ROOT / "docs" / "extending.md"


def install(heading: str, folder: Path) -> dict[str, str]:
    """Write the code of a section into a folder, with a package's metadata; the environment."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```(python|toml)\n(.*?)```", section, flags=re.DOTALL)
    assert {kind for kind, _ in blocks} == {"python", "toml"}
    points = []
    for kind, code in blocks:
        if kind == "python":
            (folder / code.split("\n", 1)[0].removeprefix("# ")).write_text(code, encoding="utf-8")
            continue
        for group, entries in tomllib.loads(code)["project"]["entry-points"].items():
            points += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    metadata = folder / "extension-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: extension\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join(points) + "\n")
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def test_an_engine(tmp_path: Path) -> None:
    environment = install("An engine", tmp_path)
    words = ("generate", "--model", "bundled", "--max-new-tokens", "12", "The sea")
    plain = hfcli(*words)
    loud = hfcli(*words, "--engine", "shout", env=environment)
    assert loud.returncode == 0, loud.stderr
    assert plain.stdout.strip()
    assert loud.stdout == plain.stdout.upper() != plain.stdout


def test_an_engine_that_cannot_be_imported_is_named_with_its_package(tmp_path: Path) -> None:
    environment = install("An engine", tmp_path)
    (tmp_path / "shout.py").write_text("import nothing_of_this_name\n")
    told = hfcli("generate", "--engine", "shout", "x", env=environment)
    assert told.returncode == 5
    assert "'shout' of the package extension cannot be loaded" in told.stderr
    near = hfcli("generate", "--engine", "shot", "x", env=environment)
    assert near.returncode == 2
    assert "did you mean shout?" in near.stderr
