"""Say so, before the first install, where pip would fetch the CUDA build of torch without a GPU."""

from __future__ import annotations

import importlib.util
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

NOTE = """\
note: pip is about to download the CUDA build of torch (about 4.5 GB on disk), and this machine has
no NVIDIA GPU. To install the CPU build (0.2 GB) instead, stop here and run
  PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make {target}
which is pip's --extra-index-url https://download.pytorch.org/whl/cpu"""
DRY_RUN = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", "-"]


def cuda_would_come(pip_arguments: list[str]) -> bool:
    """Whether pip would install a build of torch that is of no use here; True if pip cannot say."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64") or _has_gpu():
        return False
    if importlib.util.find_spec("torch") is not None:
        return False
    done = subprocess.run(
        [sys.executable, "-m", "pip", *DRY_RUN, *pip_arguments, "torch"],
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    return done.returncode != 0 or "+cpu" not in _version(json.loads(done.stdout))


def _has_gpu() -> bool:
    return Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi") is not None


def _version(report: dict[str, Any]) -> str:
    version: str = report["install"][0]["metadata"]["version"]
    return version


if __name__ == "__main__":
    if cuda_would_come(sys.argv[2:]):
        print(NOTE.format(target=sys.argv[1]), file=sys.stderr, flush=True)
