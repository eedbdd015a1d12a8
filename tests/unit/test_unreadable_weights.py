"""Weights that this user may not read are named so, not as missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = """
import sys
from pathlib import Path
from hfcli.errors import ModelError
from hfcli.models.preflight import check_files
from hfcli.models.resolve import ModelSource
from tests.fuzz.forked import drop_privileges

drop_privileges()
try:
    check_files(ModelSource(name="m", folder=Path(sys.argv[1]), gguf_file=None))
except ModelError as e:
    print(e)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="drops the rights of root by a Linux call")
@pytest.mark.parametrize(
    "name", ["model.safetensors", "model-00002-of-00002.safetensors", "adapter_model.safetensors"]
)
def test_weights_that_may_not_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "other.safetensors").write_bytes(b"x")
    (tmp_path / name).write_bytes(b"x")
    said = []
    for mode in (0o644, 0):
        (tmp_path / name).chmod(mode)
        command = [sys.executable, "-c", CHECK, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        said.append(done.stdout)
    assert said[0] == ""
    assert f"{name}: cannot be read (Permission denied)" in said[1]
