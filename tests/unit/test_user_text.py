"""Files that users name are read in bounded time and memory, whatever the name leads to."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from hfcli.errors import DataError, RecipeError
from hfcli.recipe.load import load_recipe
from hfcli.user_text import parse_json, read_text


def odd_files(folder: Path) -> dict[str, Path]:
    """Names that lead to no text file."""
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "socket"))
    (folder / "folder").mkdir()
    (folder / "latin").write_bytes(b"a: 1\nb: \xff\n")
    (folder / "utf-16").write_bytes("a: 1".encode("utf-16"))
    (folder / "big").write_bytes(b"#" * 10_000_001)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "file").write_text("x")
    names = {path.name: path for path in folder.iterdir() if path.name != "file"}
    extra = ["/dev/zero", "/dev/urandom", "/dev/null", "/proc/self/mem", "nowhere", "x" * 300]
    names |= {name[:20]: Path(name) for name in extra}
    return names | {"long": Path("a/" * 3_000), "nul": Path("a\0b"), "under": folder / "file/x"}


def test_no_name_makes_anyone_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = odd_files(tmp_path)
    assert len(names) > 12
    for name, path in names.items():
        began = time.monotonic()
        for read in (lambda p: read_text(p, RecipeError), load_recipe):
            with pytest.raises(RecipeError) as caught:
                read(path)
            assert len(caught.value.lines) == 1, name
        assert time.monotonic() - began < 4, name


def test_a_pipe_that_is_written_into_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfa: 1\n")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("a: é\n"))
    writer.start()
    time.sleep(0.2)
    number = os.open(tmp_path / "pipe", os.O_RDONLY)  # the writer may begin
    try:
        assert read_text(Path(f"/dev/fd/{number}"), DataError) == "a: é\n"
    finally:
        os.close(number)
        writer.join()
    assert read_text(tmp_path / "bom", DataError) == "a: 1\n"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5_000, "{", ""])
def test_no_json_ends_otherwise_than_as_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)
