"""Files that are whole or not there, temporary names, and locks.

Every output is written under a temporary name in its own folder and renamed. A temporary name
says which process made it, so that a later run removes what a killed one left behind, and nothing
else. Knows no file of hfcli by name.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hfcli.errors import RunError
from hfcli.faults import environment_errors as environment_errors

TEMPORARY = re.compile(r"\..*\.hfcli-([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]{8}", re.DOTALL)
LONGEST_NAME = 255  # bytes, of nearly all file systems
DAYS_ELSEWHERE = 30  # after which a temporary name of another machine or container is removed


def write_text(path: Path, text: str, *, errors: str = "strict", durable: bool = True) -> None:
    """Write UTF-8 text, whole or not at all.

    Args:
        path: as for `atomic`.
        text: what is written; line ends stay as they are.
        errors: what becomes of half a surrogate pair, as for `str.encode`.
        durable: the bytes reach the disk before the file gets its name.

    Raises:
        RunError: the file cannot be written.
    """
    write_bytes(path, text.encode("utf-8", errors), durable=durable)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write bytes, whole or not at all; arguments and errors as `write_text`."""
    with atomic(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file; a pipe or device, which may never end, is refused.

    Raises:
        RunError: it cannot be read, or is not a file.
    """
    with environment_errors(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise RunError(f"{path}: is not a file")
        return path.read_bytes()


@contextlib.contextmanager
def atomic(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give the name of an empty file to write, which takes the name `path` when all went well.

    A symbolic link stays, and what it points to is replaced. A terminal, pipe or character device
    is written into. The file's mode is that of the umask.

    Args:
        path: the final name; its folder is there.
        durable: the bytes reach the disk before the file gets its name.

    Raises:
        RunError: the file cannot be written, or is a folder, socket or disk.
    """
    with environment_errors(path, what="cannot be written"):
        target = real_target(path)
        if target is None:
            yield path
            return
        temporary = create_temporary(target)
        try:
            yield temporary
            if durable:
                _sync(temporary)
            os.replace(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def real_target(path: Path) -> Path | None:
    """Return the regular file that `path` names, through links; None: a device or pipe to write.

    Raises:
        OSError: a folder, a socket, a disk, or a pipe that nobody reads.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return Path(os.path.realpath(path))  # of a link, too, that points nowhere yet
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISBLK(found.st_mode) or stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.ENOTSUP, "is a disk or a socket, not a file", str(path))
    if not stat.S_ISREG(found.st_mode):
        os.close(os.open(path, open_flags("O_WRONLY", "O_NONBLOCK", "O_NOCTTY")))
        return None
    target = Path(os.path.realpath(path))
    named = target.exists() and os.path.samestat(found, target.stat())
    return target if named else None  # /dev/stdout, of a file whose name is gone


def open_flags(*names: str) -> int:
    """Return the flags of os.open of these names that the system has, for bytes as they are."""
    return sum(getattr(os, name, 0) for name in {*names, "O_BINARY"})  # Windows changes line ends


def create_temporary(path: Path, *, folder: bool = False) -> Path:
    """Create an empty file (or folder) beside `path`, with a name that `clean` knows."""
    end = f".hfcli-{_machine()}-{os.getpid()}-{_started(os.getpid())}"
    room = LONGEST_NAME - len(end) - 10
    while True:
        name = os.fsencode(path.name)[:room].decode(sys.getfilesystemencoding(), "ignore")
        temporary = path.with_name(f".{name}{end}-{secrets.token_hex(4)}")
        try:
            if folder:
                temporary.mkdir()
            else:
                flags = open_flags("O_CREAT", "O_EXCL", "O_WRONLY")
                os.close(os.open(temporary, flags, 0o666))
        except FileExistsError:
            continue
        return temporary


def share(folder: Path) -> None:
    """Give safetensors files in a folder the mode of the umask: safetensors makes them private."""
    for path in folder.glob("*.safetensors"):
        with environment_errors(path):
            path.chmod(0o666 & ~_umask())


def _umask() -> int:
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="latin-1")
        found = re.search(r"^Umask:\s*([0-7]+)$", status, re.MULTILINE)
        if found:
            return int(found[1], 8)
    mask = os.umask(0o077)  # it cannot be asked for without being set
    os.umask(mask)
    return mask


def scratch(made: dict[int, Path] = {}) -> Path:  # noqa: B006 - one a process
    """Return this process's temporary folder, made when first asked for, gone when it ends.

    What killed processes left is removed.

    Raises:
        RunError: there is no place for one.
    """
    pid = os.getpid()
    if pid not in made:  # a forked child has its own
        with environment_errors():
            place = Path(tempfile.gettempdir())
            clean(place)
            made[pid] = create_temporary(place / "hfcli", folder=True)
            made[pid].chmod(0o700)  # others look into this place, and rows may be private
        atexit.register(_remove_own, made[pid], pid)
    return made[pid]


def scratch_name(kind: str) -> Path:
    """Return a name in `scratch` that nothing has had."""
    return scratch() / f"{kind}-{secrets.token_hex(4)}"


def _remove_own(folder: Path, pid: int) -> None:
    if os.getpid() == pid:
        remove(folder)


def clean(folder: Path) -> None:
    """Remove temporary files and folders whose process has ended; what is not ours stays."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if _is_left_over(entry):
                remove(Path(entry.path))


def remove(path: Path) -> None:
    """Remove a file, a link or a folder of ours, whoever removes it at the same time."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _is_left_over(entry: os.DirEntry[str]) -> bool:
    found = TEMPORARY.fullmatch(entry.name)
    if found is None:
        return False
    machine, pid, started = found[1], int(found[2]), int(found[3])
    if machine != _machine():
        try:
            changed = entry.stat(follow_symlinks=False).st_mtime
        except OSError:
            return False
        return time.time() - changed > DAYS_ELSEWHERE * 86_400
    return _started(pid) != started


def _machine() -> str:
    """Eight digits for this machine, since it was started, and this container on it."""
    told = [os.uname().nodename] if hasattr(os, "uname") else [os.environ.get("COMPUTERNAME", "")]
    with contextlib.suppress(OSError):
        told.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        told.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _started(pid: int) -> int:
    """When a process began, by a clock of the machine; -1: there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
        return int(fields.rpartition(")")[2].split()[19])
    except FileNotFoundError:
        pass
    import psutil  # not Linux

    try:
        return int(psutil.Process(pid).create_time())
    except psutil.Error:
        return -1


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def lock(file: Path, *, writing: Path) -> Iterator[None]:
    """Hold a lock file, which goes away afterwards; a killed process holds it no longer.

    Args:
        file: the lock file, which nothing else is written into; its folder is there.
        writing: what the lock is for, as the error names it.

    Raises:
        RunError: another process holds it, or the lock file cannot be made.
    """
    from filelock import FileLock, Timeout

    held = FileLock(file, timeout=0)
    with environment_errors(file):
        try:
            held.acquire()
        except Timeout as e:
            raise RunError(
                f"{writing}: another process is writing it",
                hint="wait until it has ended, or write elsewhere",
            ) from e
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)  # while it is held: filelock looks whether it has a name
        held.release()
