"""What Windows and macOS lack stands in no import at the top, and every text has its encoding."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hfcli import shell
from tests.helpers import ROOT, lacking_on_windows

POSIX = {
    "crypt", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource", "spwd",
    "syslog", "termios", "tty",
}  # fmt: skip
NEEDS_TORCH = {"torch", "accelerate", "peft", "bitsandbytes", "lm_eval", "vllm"}
MODULES = sorted((ROOT / "hfcli").rglob("*.py"))
UNIT_TESTS = sorted((ROOT / "tests" / "unit").glob("*.py"))
OUR_READERS = {"files", "user_text", "validate"}  # their read_text and write_text are UTF-8


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(body: list[ast.stmt]) -> set[str]:
    """The top-level names of the modules that statements import."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def unnamed_encodings(tree: ast.AST) -> list[str]:
    """Calls that open, read or write text, or decode a process's output, in the locale's way."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [f"line {call.lineno}: {ast.unparse(call)}" for call in calls if _depends(call)]


def _depends(call: ast.Call) -> bool:
    words = {word.arg: word.value for word in call.keywords}
    if "encoding" in words:
        return False
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    of = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
    if name in {"open", "fdopen"}:
        place = 0 if of and of not in {"io", "gzip", "os", "tarfile", "zipfile"} else 1
        mode = words.get("mode", call.args[place] if len(call.args) > place else None)
        number = of == "os" and name == "open"  # bytes, whatever the flags
        return not number and not (isinstance(mode, ast.Constant) and "b" in str(mode.value))
    if name in {"read_text", "write_text"} and of and of not in OUR_READERS:
        return len(call.args) <= (name == "write_text")
    if name == "TextIOWrapper":
        return True
    decodes = words.get("text", words.get("universal_newlines"))
    return isinstance(decodes, ast.Constant) and decodes.value is True


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_needs_nothing_that_only_posix_has(path: Path) -> None:
    assert imported(ast.parse(path.read_text(encoding="utf-8")).body) & POSIX == set()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_text_is_opened_with_its_encoding(path: Path) -> None:
    assert unnamed_encodings(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_bytes_are_opened_with_flags_that_every_system_has(path: Path) -> None:
    known = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_APPEND", "O_CREAT", "O_EXCL", "O_TRUNC"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert {name for name in used if name.startswith("O_")} <= known


@pytest.mark.parametrize(
    ("call", "depends"),
    [
        ("open(p)", True),
        ("open(p, 'w')", True),
        ("open(p, 'rb')", False),
        ("open(p, encoding='utf-8')", False),
        ("p.open()", True),
        ("p.open('rb+')", False),
        ("os.open(p, flags)", False),
        ("p.read_text()", True),
        ("p.read_text('ascii')", False),
        ("p.write_text(t)", True),
        ("files.write_text(p, t)", False),
        ("run(c, text=True)", True),
        ("run(c, text=True, encoding='utf-8')", False),
        ("io.TextIOWrapper(f)", True),
    ],
)
def test_the_law_on_encodings_sees_what_it_should(call: str, depends: bool) -> None:
    assert bool(unnamed_encodings(ast.parse(call))) == depends


@pytest.mark.parametrize("path", UNIT_TESTS, ids=relative)
def test_a_unit_test_imports_nothing_that_needs_torch(path: Path) -> None:
    nodes = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.stmt)]
    assert imported(nodes) & NEEDS_TORCH == set()


@pytest.mark.parametrize(
    ("system", "line", "part"),
    [("posix", "hfcli 'my run' '$x'", "'my run'"), ("nt", 'hfcli "my run" $x', '"my run"')],
)
def test_a_command_is_quoted_for_the_shell_of_the_system(
    system: str, line: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "_SYSTEM", system)
    assert shell.join(["hfcli", "my run", "$x"]) == line
    assert shell.quote("my run") == part


def test_a_test_of_pipes_is_known_as_one_of_posix() -> None:
    assert lacking_on_windows("os.mkfifo(path)") == "mkfifo"
    assert lacking_on_windows("write_text(Path('/dev/null'), text)") == "/dev/"
    assert lacking_on_windows("assert forked and schmodder == 1") is None
