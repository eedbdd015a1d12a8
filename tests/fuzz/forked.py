"""Run many `hfcli` commands: each in a child that is forked from a warmed-up process.

A start of hfcli takes seconds, mostly imports; a fork takes milliseconds. The child runs
`hfcli.cli.app.main` as the installed script does, so that its exit code, stdout and stderr are the
command's own. A child that takes too long is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

GIB = 1 << 30


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: exit code; minus the signal's number for a child that a signal ended.
        stdout, stderr: the first MiB of each, as bytes.
        seconds: wall time.
        cpu: seconds of processor time, which a busy machine does not change.
        hung: it was killed, since it took longer than it may.
    """

    code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    cpu: float
    hung: bool

    @property
    def is_bug(self) -> bool:
        """Exit 1 with a traceback, a signal that nobody sent, or a hang."""
        return self.hung or self.code == 1 or self.code < 0 or b"Traceback (most" in self.stderr

    def last_line(self) -> str:
        """The last line of stderr, for a table of failures."""
        lines = self.stderr.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


def warm_up() -> None:
    """Import what commands import, so that a child need not."""
    import datasets
    import torch
    import transformers.models.auto.modeling_auto
    import transformers.models.gpt2.modeling_gpt2
    import transformers.trainer  # noqa: F401

    import hfcli.cli.app
    import hfcli.evaluation.forward
    import hfcli.generation.run
    import hfcli.training.run  # noqa: F401

    torch.set_num_threads(1)  # a thread pool does not survive a fork
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # nor do those of tokenizers
    datasets.disable_progress_bars()


def run(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    cpu_seconds: float = 5,
    wall_seconds: float = 60,
    memory: int = 6 * GIB,
    privileged: bool = True,
) -> Outcome:
    """Run `hfcli ARGUMENTS` in a forked child.

    Args:
        arguments: what follows `hfcli` on the command line.
        cwd: its current folder; its output is kept there, too, until it is read.
        env: added to the environment.
        stdin: what it can read.
        cpu_seconds: processor time after which it counts as hung.
        wall_seconds: wall time after which it counts as hung, for what waits.
        memory: bytes of address space beyond what the warmed-up process has.
        privileged: as root, permissions of files do not count; else they do.
    """
    paths = {name: cwd / f".forked-{name}-{os.getpid()}" for name in ("in", "out", "err")}
    paths["in"].write_bytes(stdin)
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        if not privileged:
            drop_privileges()
        told_after = wall_seconds * 0.9  # where it hangs, before it is killed
        _child(arguments, cwd=cwd, env=env or {}, paths=paths, memory=memory, told_after=told_after)
    status, cpu, hung = _wait(pid, cpu_seconds, began + wall_seconds)
    seconds = time.monotonic() - began
    texts = {}
    for name in ("out", "err"):
        with paths[name].open("rb") as file:
            texts[name] = file.read(1 << 20)
    for path in paths.values():
        path.unlink()
    code = os.waitstatus_to_exitcode(status)
    return Outcome(code, texts["out"], texts["err"], seconds, cpu, hung)


def drop_privileges() -> None:
    """Give up root's right to read and write whatever it likes, for this process; Linux only."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _child(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path,
    env: Mapping[str, str],
    paths: Mapping[str, Path],
    memory: int,
    told_after: float,
) -> NoReturn:
    code = 1
    try:
        os.setsid()
        for name, number, flags in (
            ("in", 0, os.O_RDONLY),
            ("out", 1, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            ("err", 2, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ):
            file = os.open(paths[name], flags, 0o600)
            os.dup2(file, number)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            for number, mode in ((0, "r"), (1, "w"), (2, "w"))
        )
        faulthandler.dump_traceback_later(told_after, file=sys.stderr)
        os.chdir(cwd)
        os.environ.update(env)
        import resource  # here: the tests are collected on Windows, too

        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + memory, size + memory))
        sys.argv = ["hfcli", *(os.fspath(a) for a in arguments)]
        code = _main()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _main() -> int:
    from hfcli.cli.app import main

    try:
        main()
    except SystemExit as e:
        if e.code is None or isinstance(e.code, int):
            return e.code or 0
        return 1
    except BaseException:  # noqa: BLE001 - what Python itself does with it
        traceback.print_exc()
        return 1
    return 0


def _wait(pid: int, cpu_seconds: float, latest: float) -> tuple[int, float, bool]:
    """The status of the child, its processor time, and whether it had to be killed."""
    handle = os.pidfd_open(pid)
    hung = False
    try:
        while not select.select([handle], [], [], 0.25)[0]:
            if not hung and (time.monotonic() > latest or _cpu_of(pid) > cpu_seconds):
                os.kill(pid, signal.SIGKILL)
                hung = True
    finally:
        os.close(handle)
    _, status, usage = os.wait4(pid, 0)
    return status, usage.ru_utime + usage.ru_stime, hung


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def seeds(first: int, number: int) -> Iterator[int]:
    """Seeds of cases, so that a failure can be run again by its number."""
    yield from range(first, first + number)
