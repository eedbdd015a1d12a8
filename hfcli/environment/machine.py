"""The machine: system, processor, cores and memory, and what a container may use of them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hfcli.device import BF16, CGROUPS, CPUINFO, linux_features
from hfcli.results import Memory, Processor

OWN_GROUP = Path("/proc/self/cgroup")
# What is looked for: the instructions for bfloat16, and those that torch's own kernels need.
X86 = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
ARM = ("bf16", "sve_bf16")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
SAME = {"avx512_f": "avx512f", "svebf16": "sve_bf16"}  # torch's names; Linux's


def describe_system() -> str:
    """Return the operating system, its version and C library."""
    libc = " ".join(platform.libc_ver()).strip()
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    name = f"{platform.system()} {platform.release()}"
    return f"{name}, {libc}" if libc else name


def describe_processor(facts: Mapping[str, Any]) -> Processor:
    """Return the processor and what it can.

    Args:
        facts: what torch told; empty: it cannot be used.
    """
    machine = platform.machine()
    has = frozenset(facts.get("features") or linux_features())
    has |= {SAME[name] for name in has if name in SAME}
    arm = machine.lower() in ("arm64", "aarch64")
    looked_for = ARM if arm else X86
    features = {name: name in has for name in looked_for} if has else {}
    features |= {name: True for name in sorted(has & BF16) if name not in SAME}
    return Processor(
        name=processor_name(),
        machine=machine,
        features=features,
        bfloat16=facts.get("bfloat16"),
        cores=os.cpu_count(),
        usable=usable_cores(),
        threads=facts.get("threads"),
        variables={name: value for name in THREADS if (value := os.environ.get(name))},
    )


def processor_name() -> str:
    """Return the processor's name as its maker writes it, as far as the system tells it."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    found = next(names, "")
    if not found and sys.platform == "darwin":
        found = _asked("sysctl", "-n", "machdep.cpu.brand_string")
    return found or platform.processor() or platform.machine()


def _asked(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=5
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def usable_cores() -> float | None:
    """Return the cores that this process may use: by affinity, and by the container's limit."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = float(len(affinity(0))) if affinity is not None else None
    limits = [limit for group in _groups() if (limit := _cores_of(group)) is not None]
    found = [value for value in (count, *limits) if value is not None]
    return min(found) if found else None


def _cores_of(group: Path) -> float | None:
    try:
        most, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return None if most == "max" else int(most) / int(period)
    except (OSError, ValueError):
        return None


def describe_memory() -> Memory:
    """Return the memory of the machine, and the limit of the groups around this process."""
    limit = memory_limit()
    try:
        import psutil
    except ImportError:
        return Memory(None, None, limit)
    from hfcli.device import free_host_memory

    total = int(psutil.virtual_memory().total)
    return Memory(total, free_host_memory(), limit if limit is None or limit < total else None)


def memory_limit() -> int | None:
    """Return the bytes that control groups (version 2, else 1) leave this process; None: all."""
    limits = [limit for group in _groups() if (limit := _number(group / "memory.max")) is not None]
    older = _number(CGROUPS / "memory" / "memory.limit_in_bytes")
    limits += [] if older is None else [older]
    return min(limits) if limits else None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # not Linux, or `max`
        return None


def _groups() -> Iterator[Path]:
    """The control groups around this process, its own first."""
    try:
        lines = OWN_GROUP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    own = next((line[3:] for line in lines if line.startswith("0::")), "/").lstrip("/")
    for group in ((CGROUPS / own), *(CGROUPS / own).parents):
        yield group
        if group == CGROUPS:
            return
