"""Modules, signals and calls that Windows lacks are needed by no command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hfcli.cli import chat
from tests.helpers import ROOT

# Imports every module of hfcli, then runs each command line of argv[1] in a forked process: an
# import of torch and transformers is enough for all.
CODE = """
import importlib, json, os, pkgutil, signal, sys, types

MODULES = ["fcntl", "resource", "termios", "tty", "pty", "readline", "pwd", "grp", "syslog",
           "crypt", "nis", "posix", "spwd"]
LACKS = {
    os: ["fork", "forkpty", "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "O_CLOEXEC", "O_NOCTTY",
         "uname", "getuid", "geteuid", "getgid", "getgroups", "setsid", "fchmod", "fchown",
         "chown", "WIFSIGNALED", "WTERMSIG", "WEXITSTATUS", "WNOHANG", "pread", "pwrite", "killpg",
         "getpgid", "sysconf", "pidfd_open", "sched_getaffinity", "sched_setaffinity", "mkfifo",
         "getloadavg", "statvfs", "nice", "posix_fadvise", "posix_fallocate", "openpty",
         "ttyname", "register_at_fork", "fdatasync", "sync", "wait3", "wait4"],
    signal: ["SIGHUP", "SIGXCPU", "SIGALRM", "SIGPIPE", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGKILL",
             "SIGCHLD", "SIGSTOP", "SIGTSTP", "SIGCONT", "alarm", "setitimer", "pthread_sigmask",
             "sigwait"],
}
# What torch and others have imported is theirs; hfcli sees nothing of it.
import transformers, torch, datasets, accelerate, peft, multiprocessing.connection, evaluate
import transformers.trainer, transformers.models.auto.modeling_auto, tempfile, subprocess, filelock
import errno, warnings
from fcntl import F_GETFL, fcntl
replace, unlink, fsync, read_link = os.replace, os.unlink, os.fsync, os.readlink

def refuse_open(path):  # Windows renames and removes no file that someone has open
    path = os.path.realpath(os.fspath(path))
    for number in os.listdir("/proc/self/fd"):
        try:
            held = read_link(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if held == path or held.startswith(path + os.sep):
            raise PermissionError(errno.EACCES, "another has it open", path)

def replace_closed(old, new, **more):
    refuse_open(old)
    refuse_open(new)
    if os.path.isdir(new):
        raise PermissionError(errno.EACCES, "a folder is there", new)
    replace(old, new, **more)

def unlink_closed(path, **more):
    if not str(path).endswith(".lock"):  # filelock has a way of its own there
        refuse_open(path)
    unlink(path, **more)

def fsync_written(number):
    if fcntl(number, F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "not open for writing")
    fsync(number)

os.replace = os.rename = replace_closed
os.unlink = os.remove = unlink_closed
os.fsync = fsync_written
for name in MODULES:
    sys.modules[name] = None
warnings.filterwarnings("error", category=EncodingWarning, module="hfcli")

class Windows(types.ModuleType):  # a module without what Windows lacks
    def __init__(self, real):
        super().__init__(real.__name__)
        self.__dict__.update({k: v for k, v in vars(real).items() if k not in LACKS[real]})
        if real is os:
            self.name = "nt"

class WindowsSys(types.ModuleType):  # another sys would have another stdout
    platform = "win32"

    def __getattr__(self, name):
        return getattr(sys, name)

    def __setattr__(self, name, value):
        setattr(sys, name, value)

import hfcli
found = [m.name for m in pkgutil.walk_packages(hfcli.__path__, "hfcli.")]
found = [name for name in found if not name.endswith("__main__")]
for name in found:
    importlib.import_module(name)
seen = {**{real: Windows(real) for real in LACKS}, sys: WindowsSys("sys")}
for name in found:
    for real, shown in seen.items():
        if vars(sys.modules[name]).get(real.__name__) is real:
            setattr(sys.modules[name], real.__name__, shown)
from hfcli.cli.app import main
codes = []
for command in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        sys.argv = ["hfcli", *command]
        try:
            main()
        except SystemExit as e:
            sys.stdout.flush(); os._exit(e.code or 0)
        except BaseException:
            import traceback
            traceback.print_exc(); sys.stderr.flush(); os._exit(1)
        sys.stdout.flush(); os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("RESULT" + json.dumps([found, codes]))
"""


def test_every_module_and_command_works_without_what_only_posix_has(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_text("text\n" + "Bread was sold in the morning.\n" * 8)
    (tmp_path / "r.yaml").write_text(
        f"task: {{name: text-generation, packing: 'no'}}\nmodel: {{name_or_path: {tiny_gpt2}}}\n"
        "data: {train: d.csv, validation_size: 0.5}\noutput_dir: run\ndevice: cpu\n"
        "training: {max_steps: 2, per_device_train_batch_size: auto}\n"
    )
    (tmp_path / "c.csv").write_text("text,label\n" + "Fresh bread,good\nOld bread,bad\n" * 8)
    (tmp_path / "c.yaml").write_text(
        "task: {name: text-classification}\nmodel: {name_or_path: bundled}\n"
        "data: {train: c.csv, validation_size: 0.5}\noutput_dir: classes\ndevice: cpu\n"
        "training: {max_steps: 2, save_steps: 1, save_total_limit: 1}\n"
    )
    bundled = ["--model", "bundled", "--device", "cpu"]
    few = ["--model", str(tiny_gpt2), "--device", "cpu"]
    commands = [
        ["generate", "Bread", *few, "--max-new-tokens", "4"],
        ["generate", "-i", "d.csv", "-o", "texts.jsonl", *few, "--max-new-tokens", "4"],
        ["finetune", "r.yaml"],
        ["eval", "run", "--data", "d.csv"],
        ["generate", "Bread", *bundled, "--max-new-tokens", "4"],
        ["finetune", "c.yaml"],
        ["eval", "classes"],
    ]
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", CODE, json.dumps(commands)],
        capture_output=True, encoding="utf-8", cwd=tmp_path, stdin=subprocess.DEVNULL, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300,
    )  # fmt: skip
    assert "RESULT" in done.stdout, done.stderr
    found, codes = json.loads(done.stdout.rpartition("RESULT")[2])
    assert len(found) > 150
    assert codes == [0] * len(commands), done.stderr
    assert (tmp_path / "texts.jsonl").read_text().count("\n") == 8
    assert (tmp_path / "run" / "result.json").is_file()
    assert (tmp_path / "classes" / "result.json").is_file()


def test_a_line_is_read_on_a_terminal_without_readline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "readline", None)
    monkeypatch.setattr("builtins.input", lambda _prompt: "a line")
    assert chat._read_line(terminal=True) == "a line"
