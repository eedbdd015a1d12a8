"""Who may import whom, and what must never be imported early."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import ROOT, slowness

HEAVY = {
    "torch", "transformers", "datasets", "accelerate", "evaluate", "numpy", "sklearn", "peft",
    "pyarrow", "tokenizers", "safetensors", "huggingface_hub", "pandas", "scipy",
    "matplotlib", "jinja2", "filelock", "xxhash",
}  # fmt: skip
LIGHT = {
    "help": ["--help"],
    "generate-help": ["generate", "--help"],
    "finetune-help": ["finetune", "--help"],
    "eval-help": ["eval", "--help"],
    "compare-help": ["compare", "--help"],
    "compare-nothing": ["compare", "nowhere", "here"],
    "export-help": ["export", "merge", "--help"],
    "nothing-to-push": ["export", "push", "nowhere", "owner/name"],
    "wrong-dtype": ["export", "merge", "x", "-o", "y", "--dtype", "int8"],
    "version": ["--version"],
    "missing-recipe": ["finetune", "nowhere.yaml"],
    "wrong-recipe": ["finetune", "recipes/bundled-text-generation.yaml", "training.lerning_rate=1"],
    "wrong-extra": ["finetune", "recipes/gpt2-text-generation.yaml", "training.extra={dubug: x}"],
    "wrong-flags": ["generate", "x", "--greedy", "--temperature", "0.5"],
    "nothing-to-evaluate": ["eval"],
    "env-help": ["env", "--help"],
    "recipes-help": ["recipes", "--help"],
    "recipes-list": ["recipes", "list"],
    "recipes-show": ["recipes", "show", "bundled-pretrain"],
    "recipes-schema": ["recipes", "schema"],
    "recipes-init-nothing": ["recipes", "init", "--data", "nowhere.csv"],
}
WORK = {
    "compat",
    "errors",
    "process",
    "foreign",
    "transfers",
    "results",
    "runfolder",
    "hub",
    "cache",
    "fast",
    "faults",
    "files",
    "journal",
    "plugins",
    "changes",
    "recipe",
    "tasks",
    "metrics",
    "device",
    "data",
    "models",
}
EVERYWHERE = {"origins", "shell", "shown", "user_text"}  # every room may use them
# Room -> the rooms it may import at module level; None: everything.
ROOMS: dict[str, set[str] | None] = {
    "origins": set(),
    "shell": set(),
    "compat": set(),
    "shown": set(),
    "user_text": {"errors"},
    "errors": set(),
    "results": set(),
    "process": {"errors"},
    "hub": {"compat"},
    "cache": {"errors", "files"},
    "faults": {"errors"},
    "files": {"errors", "faults"},
    "journal": {"errors", "files"},
    "plugins": {"errors", "foreign"},
    "runfolder": {"errors", "faults", "files"},
    "changes": set(),
    "fast": {"errors", "cache", "compat", "device", "foreign"},
    "foreign": {"device", "errors"},
    "transfers": {"errors", "foreign"},
    "hub_client": {"compat", "transfers"},
    "statistics": {"errors"},
    "metrics": {
        "compat", "errors", "faults", "files", "foreign", "hub", "plugins", "statistics",
        "transfers",
    },
    "tasks": {"errors", "foreign", "plugins"},
    "recipe": {"errors", "fast", "faults", "files", "foreign", "tasks", "metrics"},
    "device": {"errors"},
    "data": {
        "errors", "faults", "files", "foreign", "hub", "cache", "recipe", "tasks", "transfers",
    },
    "models": {
        "compat", "errors", "faults", "files", "foreign", "results", "runfolder", "fast", "hub",
        "cache", "device", "process", "recipe", "tasks", "transfers",
    },
    "generation": WORK,
    "training": WORK,
    "evaluation": WORK | {"generation", "statistics"},
    "environment": {"errors", "cache", "device", "fast", "hub", "results"},
    "render": {"errors", "faults", "files", "results", "runfolder"},
    "cli": None,
}  # fmt: skip
# Modules that nothing imports before torch is needed: their imports stand at the top.
WITH_TORCH = {f"training/{name}" for name in ("callbacks", "order", "trainer", "trial")}
MODULES = sorted((ROOT / "hfcli").rglob("*.py"))


def run_and_list_modules(arguments: list[str]) -> set[str]:
    code = (
        "import sys, json\n"
        f"sys.argv = ['hfcli', *{arguments!r}]\n"
        "from hfcli.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('MODULES' + json.dumps(sorted({m.split('.')[0] for m in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return set(json.loads(done.stdout.rpartition("MODULES")[2]))


@pytest.mark.parametrize("arguments", LIGHT.values(), ids=LIGHT.keys())
def test_help_and_recipe_errors_import_nothing_heavy(arguments: list[str]) -> None:
    assert run_and_list_modules(arguments) & HEAVY == set()


@pytest.mark.alone
@pytest.mark.parametrize(
    "name",
    [
        "help", "version", "wrong-recipe", "wrong-extra",
        "recipes-list", "recipes-show", "recipes-schema",
    ],
)  # fmt: skip
def test_help_and_recipe_errors_answer_in_under_a_third_of_a_second(name: str) -> None:
    """The fastest of several, since a shared machine varies by half from minute to minute."""
    assert min(seconds(["-m", "hfcli", *LIGHT[name]]) for _ in range(7)) < 0.3 * slowness()


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False, cwd=ROOT)
    return time.perf_counter() - start


def test_there_are_modules_to_look_at() -> None:
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_says_what_it_is_and_keeps_to_its_room(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a module opens with what it does"
    parts = path.relative_to(ROOT / "hfcli").with_suffix("").parts
    room = parts[0]
    if room in ("__init__", "__main__"):
        return
    imported = {name for name in _top_level_imports(tree) if name.split(".")[0] in HEAVY}
    assert imported == set() or "/".join(parts) in WITH_TORCH
    allowed = ROOMS[room]
    rooms = {n.split(".")[1] for n in _top_level_imports(tree) if n.startswith("hfcli.")}
    if allowed is not None:
        assert rooms - {room, *EVERYWHERE} <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nobody_catches_everything(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            names = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
            assert names & {"Exception", "BaseException"} == set()


def test_task_names_stand_in_their_own_file_only() -> None:
    from hfcli.tasks import question_classes, task_names

    assert len(task_names()) == 2
    for path in MODULES:
        strings = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        if path.parent.name != "tasks":
            assert strings & {*task_names(), *question_classes()} == set(), path


def _top_level_imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {
                f"{node.module}.{alias.name}" for alias in node.names if node.module == "hfcli"
            }
    return names
