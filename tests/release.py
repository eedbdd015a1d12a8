"""`make release-check`: what would be published works outside the repository, however installed.

Builds wheel and sdist into dist/, looks at what is in them, collects the tests of the sdist, and
installs the wheel by pip, uv and pipx with the versions of constraints.txt. Each installed command
generates, copies a shipped recipe with its data, finetunes and evaluates.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.helpers import ROOT

DIST = ROOT / "dist"
RECIPE = "bundled-text-classification"
IN_WHEEL = (
    "hfcli/py.typed",
    "hfcli/bundled/model.safetensors",
    "hfcli/bundled/tokenizer.json",
    f"hfcli/shipped_recipes/{RECIPE}.yaml",
)
IN_SDIST = ("docs/cli.md", "benchmarks/step.py", "CONTRIBUTING.md", ".ci/run", "tests/conftest.py")
BIN, EXE = ("Scripts", ".exe") if sys.platform == "win32" else ("bin", "")
# uv reads its own variables; who has told pip where wheels are has told uv, too.
FOR_UV = {
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_EXTRA_INDEX_URL": "UV_EXTRA_INDEX_URL",
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
}


def main(tools: Path) -> None:
    """Build, look and install; the first failure ends it.

    Args:
        tools: the folder of the executables uv and pipx.
    """
    shutil.rmtree(DIST, ignore_errors=True)
    run([tools / f"uv{EXE}", "build", "--quiet", "--out-dir", DIST, ROOT], cwd=ROOT)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    look(wheel, sdist)
    with tempfile.TemporaryDirectory(prefix="hfcli-release-") as name:
        work = Path(name)
        collect(sdist, work)
        for way, install in WAYS.items():
            folder = work / way
            folder.mkdir()
            begun = time.monotonic()
            command = install(tools, wheel, folder)
            seconds = time.monotonic() - begun
            print(f"{way}: installed in {seconds:.0f} s, {size(folder) / 1e9:.2f} GB", flush=True)
            use(command, work / f"{way}-use")
            print(f"{way}: generate, recipes copy, finetune and eval work", flush=True)
        uvx(tools, wheel, work)


def look(wheel: Path, sdist: Path) -> None:
    """Check that what belongs into wheel and sdist is in them."""
    with zipfile.ZipFile(wheel) as file:
        missing = [name for name in IN_WHEEL if name not in file.namelist()]
    with tarfile.open(sdist) as archive:
        names = {member.partition("/")[2] for member in archive.getnames()}
    missing += [name for name in IN_SDIST if name not in names]
    if missing:
        sys.exit(f"missing from wheel or sdist: {', '.join(missing)}")
    for path in (wheel, sdist):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB", flush=True)


def collect(sdist: Path, work: Path) -> None:
    """Collect the tests of the unpacked sdist, by the Python that runs this."""
    with tarfile.open(sdist) as archive:
        archive.extractall(work, filter="data")
    folder = work / sdist.name.removesuffix(".tar.gz")
    told = run([sys.executable, "-m", "pytest", "--collect-only", "-q"], cwd=folder)
    print(f"sdist: {told.splitlines()[-1]}", flush=True)


def by_pip(_tools: Path, wheel: Path, folder: Path) -> list[str]:
    """Install into a fresh environment by pip."""
    run([sys.executable, "-m", "venv", folder / "venv"], cwd=folder)
    python = folder / "venv" / BIN / f"python{EXE}"
    pinned: list[str | Path] = ["-c", ROOT / "constraints.txt"]
    run([python, "-m", "pip", "install", "--quiet", *pinned, wheel], cwd=folder)
    return [str(folder / "venv" / BIN / f"hfcli{EXE}")]


UV_OPTIONS: list[str | Path] = [
    "--quiet", "--python", sys.executable, "-c", ROOT / "constraints.txt",
]  # fmt: skip


def by_uv(tools: Path, wheel: Path, folder: Path) -> list[str]:
    """Install by `uv tool install`."""
    env = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    run([tools / f"uv{EXE}", "tool", "install", *UV_OPTIONS, wheel], cwd=folder, env=env)
    return [str(folder / "bin" / f"hfcli{EXE}")]


def by_pipx(tools: Path, wheel: Path, folder: Path) -> list[str]:
    """Install by pipx."""
    env = {"PIPX_HOME": str(folder / "home"), "PIPX_BIN_DIR": str(folder / "bin")}
    options: list[str | Path] = [
        "--python",
        sys.executable,
        f"--pip-args=-c '{ROOT / 'constraints.txt'}'",
    ]
    run([tools / f"pipx{EXE}", "install", "--quiet", *options, wheel], cwd=folder, env=env)
    return [str(folder / "bin" / f"hfcli{EXE}")]


WAYS: dict[str, Callable[[Path, Path, Path], list[str]]] = {
    "pip": by_pip,
    "uv": by_uv,
    "pipx": by_pipx,
}


def use(command: list[str], folder: Path) -> None:
    """Do the three main jobs with an installed hfcli, in a folder of its own."""
    folder.mkdir()
    env = {"HF_HUB_OFFLINE": "1", "HFCLI_CACHE": str(folder / "cache")}
    text = run([*command, "generate", "--model", "bundled", "The ferry"], cwd=folder, env=env)
    if not text.strip():
        sys.exit("generate wrote no text")
    run([*command, "recipes", "copy", RECIPE], cwd=folder, env=env)
    recipe = next(folder.rglob(f"{RECIPE}.yaml"))
    short: list[str | Path] = ["training.max_steps=4", f"output_dir={folder / 'run'}"]
    run([*command, "finetune", recipe, *short], cwd=folder, env=env)
    run([*command, "eval", folder / "run"], cwd=folder, env=env)


def uvx(tools: Path, wheel: Path, work: Path) -> None:
    """Generate by `uvx --from WHEEL hfcli`."""
    command: list[str | Path] = [tools / f"uvx{EXE}", *UV_OPTIONS, "--from", wheel, "hfcli"]
    text = run([*command, "generate", "--model", "bundled", "The ferry"], cwd=work)
    if not text.strip():
        sys.exit("uvx: generate wrote no text")
    print("uvx: generate works", flush=True)


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder, links aside."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


def run(command: list[str | Path], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Return the stdout of a command; what it said is shown where it fails."""
    # As for a user: a start that compiles transformers anew takes a minute.
    given = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    own = {uv: os.environ[pip] for pip, uv in FOR_UV.items() if pip in os.environ}
    quiet = {"UV_INDEX_STRATEGY": "unsafe-best-match", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env={**own, **quiet, **given, **(env or {})},
        capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
