"""hfcli.files: whole or not there, in the mode of the umask, and nothing foreign is touched."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hfcli import files
from hfcli.errors import DataError, HfcliError, RunError

FAULTS = [
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENODEV,
    errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EMFILE, errno.EBUSY,
    errno.ESTALE, errno.ENOENT, errno.ENXIO, errno.ETIMEDOUT, errno.ENFILE, errno.EFBIG,
]  # fmt: skip

OTHER = """
import sys
from pathlib import Path
from hfcli import files
from hfcli.errors import RunError
try:
    with files.lock(Path(sys.argv[1]), writing=Path("out")):
        print("in")
except RunError as e:
    print(e)
"""


@pytest.fixture(params=[0o022, 0o027, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_file_has_the_mode_of_the_umask(tmp_path: Path, umask: int) -> None:
    files.write_text(tmp_path / "a", "text")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask


def test_nothing_but_the_file_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.tmp").write_text("mine")
    (tmp_path / ".a.tmp").write_text("mine")
    files.write_text(tmp_path / "a", "new\r\n")
    assert (tmp_path / "a").read_bytes() == b"new\r\n"
    assert {p.name for p in tmp_path.iterdir()} == {"a", "a.tmp", ".a.tmp"}
    assert (tmp_path / "a.tmp").read_text() == (tmp_path / ".a.tmp").read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError(errno.ENOSPC, "full")])
def test_what_stood_there_stays_when_writing_fails(
    tmp_path: Path, error: BaseException | type[BaseException]
) -> None:
    (tmp_path / "a").write_text("old")

    def fail() -> None:
        with files.atomic(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises((KeyboardInterrupt, ValueError, RunError)):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/file")
    for text in ("first", "second"):
        files.write_text(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there/file").read_text() == text
    assert len(list((tmp_path / "there").iterdir())) == 1


def test_a_pipe_and_a_device_are_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    handle = os.open(pipe, os.O_WRONLY)  # there is a reader now
    files.write_text(pipe, "text")
    os.close(handle)
    reader.join()
    assert read == [b"text"]
    assert pipe.is_fifo()
    files.write_text(Path("/dev/null"), "text")
    assert Path("/dev/null").is_char_device()


def test_a_pipe_that_nobody_reads_a_folder_and_a_socket_are_refused(tmp_path: Path) -> None:
    import socket

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "socket"))
        before = {p.name for p in tmp_path.iterdir()}
        for name in sorted(before):
            with pytest.raises(RunError, match=name):
                files.write_text(tmp_path / name, "text")
        assert {p.name for p in tmp_path.iterdir()} == before
        assert (tmp_path / "pipe").is_fifo()
        assert (tmp_path / "socket").is_socket()


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "x" * 200 + ".jsonl"])
def test_a_name_may_be_as_long_as_the_disk_takes(tmp_path: Path, name: str) -> None:
    files.write_text(tmp_path / name, "text")
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["open", "replace", "fsync"])
def test_whatever_the_disk_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise OSError(number, os.strerror(number), "x")

    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(RunError) as caught:
        files.write_text(tmp_path / "a", "text")
    assert str(tmp_path / "a") in caught.value.message
    assert os.strerror(number) in caught.value.message
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


class SafetensorError(Exception):
    """As in safetensors, which a unit test does not import."""


LIBRARIES = [
    MemoryError(),
    RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"),
    RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed"),
    RuntimeError("basic_ios::clear: iostream error"),
    RuntimeError("Parent directory /gone does not exist."),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    Exception("No such file or directory (os error 2)"),
    OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
]


@pytest.mark.parametrize("error", LIBRARIES, ids=str)
@pytest.mark.parametrize("wrapped", [False, True])
def test_libraries_have_other_words_for_it(error: Exception, wrapped: bool) -> None:
    def fail() -> None:
        if wrapped:
            raise ValueError("while doing this") from error
        raise error

    with pytest.raises(DataError), files.environment_errors(Path("x"), DataError):
        fail()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"), RuntimeError("shapes differ"), OSError("no errno"), KeyboardInterrupt(),
        OSError(errno.EBADF, "bad"), BrokenPipeError(errno.EPIPE, "pipe"), RunError("x"),
        OSError(errno.EPIPE, "x"),
    ],
    ids=repr,
)  # fmt: skip
def test_bugs_and_the_like_stay_what_they_are(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, files.environment_errors(Path("x"), DataError):
        raise error
    assert caught.value is error


def test_a_bug_that_arose_while_a_file_was_not_found_stays_a_bug() -> None:
    def look() -> None:
        try:
            Path("/nowhere").read_text()
        except FileNotFoundError:
            raise KeyError("bug")  # noqa: B904 - the kind of thing that is tested

    with pytest.raises(KeyError), files.environment_errors():
        look()


def test_a_lock_refuses_others_and_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with files.lock(file, writing=tmp_path / "out"):
        done = subprocess.run([sys.executable, "-c", OTHER, file], capture_output=True, text=True)
        assert done.stdout.strip() == "out: another process is writing it"
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_held_by_one_at_a_time_though_its_file_comes_and_goes(tmp_path: Path) -> None:
    inside, most, refused, held = 0, 0, 0, 0

    def work() -> None:
        nonlocal inside, most, refused, held
        for _ in range(100):
            try:
                with files.lock(tmp_path / ".lock", writing=tmp_path):
                    inside += 1
                    most = max(most, inside)
                    held += 1
                    inside -= 1
            except RunError:
                refused += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert held + refused == 400
    assert held > 10


def _left_over(folder: Path, make: Callable[[Path], object]) -> Path:
    """What a process that has ended made with `create_temporary`."""
    code = (
        "import sys; from pathlib import Path; from hfcli import files;"
        "print(files.create_temporary(Path(sys.argv[1]) / 'a').name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True
    )
    path = folder / done.stdout.strip()
    path.unlink()
    make(path)
    return path


def test_only_what_a_dead_process_of_ours_left_is_cleaned(tmp_path: Path) -> None:
    dead = _left_over(tmp_path, Path.touch)
    (tmp_path / "f").mkdir()
    dead_folder = _left_over(tmp_path, Path.mkdir)
    (dead_folder / "x").touch()
    alive = files.create_temporary(tmp_path / "a")
    alive_folder = files.create_temporary(tmp_path / "a", folder=True)
    elsewhere = tmp_path / dead.name.replace(files._machine(), "0" * 8)
    elsewhere.touch()
    old = tmp_path / (elsewhere.name[:-8] + "12345678")
    old.touch()
    os.utime(old, (0, 0))
    foreign = [tmp_path / n for n in ("a.tmp", ".a.tmp", ".a.hfcli-x", ".hfcli", ".a.hfcli-1-2")]
    for path in foreign:
        path.touch()
        os.utime(path, (0, 0))
    files.clean(tmp_path)
    kept = {alive, alive_folder, elsewhere, tmp_path / "f", *foreign}
    assert set(tmp_path.iterdir()) == kept


def test_the_temporary_folder_of_a_killed_process_is_removed_by_the_next(tmp_path: Path) -> None:
    ends = {"kill": "os.kill(os.getpid(), 9)", "exit": "sys.exit(3)", "error": "1 / 0"}
    mine = tmp_path / "hfcli-notes"
    mine.mkdir()
    for name, end in ends.items():
        code = (
            "import os, sys; from hfcli import files; path = files.scratch_name('rows');"
            f"path.write_text('x'); assert path.parent.stat().st_mode & 0o777 == 0o700; {end}"
        )
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)},
            capture_output=True, check=False,
        )  # fmt: skip
        left = sorted(p.name for p in tmp_path.iterdir() if p != mine)
        assert len(left) == (name == "kill"), left
    assert mine.is_dir()


def test_a_temporary_folder_that_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = files.create_temporary(tmp_path / "hfcli", folder=True)
    (own / "rows").touch()
    files.clean(tmp_path)
    assert (own / "rows").exists()


def test_every_error_class_can_be_asked_for() -> None:
    for kind in HfcliError.__subclasses__():
        if kind.__name__ != "Interrupted":
            with pytest.raises(kind), files.environment_errors(Path("x"), kind):
                raise OSError(errno.EIO, "x")
