"""The README's questions, as they stand there, asked of the bundled model."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema

from hfcli.render.report.evaluate import SCHEMA_FILE
from tests.helpers import ROOT


def test_the_readme_example_of_questions_works(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```\n(cat > questions\.jsonl.*?)```", readme, re.DOTALL)
    command = shlex.join([sys.executable, "-m", "hfcli"])
    script = f'set -e\nhfcli() {{ {command} "$@" --offline; }}\n{block}'
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ *acc +1\.0000", done.stdout, re.MULTILINE)
    assert re.search(r"^ *exact_match +", done.stdout, re.MULTILINE)
    runs = [*(tmp_path / "runs").iterdir()]
    assert len(runs) == 2
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    for path in runs:
        report = json.loads((path / "report.json").read_text(encoding="utf-8"))
        jsonschema.validate(report, schema)
        assert path.name.endswith(report["task"])
        assert "<h1>" in (path / "report.html").read_text(encoding="utf-8")
        lines = (path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["error"] for line in lines] == [None, None]
