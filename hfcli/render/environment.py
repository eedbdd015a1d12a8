"""What hfcli runs on -> sections of lines, at most 80 columns wide where words allow it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from hfcli.render.streams import write_line, write_out
from hfcli.results import EnvironmentResult, Extra, Folder, Memory, PackageVersion, Processor
from hfcli.shown import visible_line

WIDTH = 80
NAME = 16  # columns of names
GIB = 2**30
STATUS = {"tested": "", "outside": "not tested", "missing": "not installed"}


def show_environment(result: EnvironmentResult) -> None:
    """Everything on stdout."""
    _section(f"hfcli {result.hfcli}", _begin(result))
    _section("Packages", _packages(result.packages))
    _section("Extras", _extras(result.extras))
    _section("Machine", _machine(result))
    _section("Folders", _folders(result.folders))
    _section("Network", _network(result))
    _section("Speed-ups of writing and scoring", _speed_ups(result, "--without"))
    _section("Speed-ups of training", _speed_ups(result, "training.disable_optimizations"))
    _section("Variables", _variables(result))
    if result.check is not None:
        _section("Check", _check(result))


def _section(title: str, lines: Iterable[str]) -> None:
    if sys.stdout.isatty():
        Console(highlight=False).print(Text(title, style="bold"))
    else:
        write_line(title)
    for line in lines:
        write_line(line)
    write_out("\n")


def _pair(name: str, value: str) -> list[str]:
    """A name and its value, which goes on below itself."""
    margin = " " * (2 + NAME)
    return textwrap.wrap(
        visible_line(value),
        WIDTH,
        initial_indent=f"  {name:<{NAME - 1}} ",
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _columns(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    def padded(row: Sequence[str]) -> str:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        return ("  " + " ".join(cells)).rstrip()

    return [padded(row) for row in rows]


def _begin(result: EnvironmentResult) -> list[str]:
    tested = f" (tested: {result.python_tested})" if result.python_tested else ""
    return [
        *_pair("Python", f"{result.python}{tested}"),
        *_pair("at", result.executable),
        *_pair("system", f"{result.system}, {result.processor.machine}"),
    ]


def _packages(packages: Sequence[PackageVersion]) -> list[str]:
    if not packages:
        return ["  hfcli is not installed as a package: its ranges are not known"]
    rows = [("", "here", "tested", "pinned", "")]
    rows += [
        (one.name, one.installed or "-", one.tested, one.pinned or "-", STATUS[one.status])
        for one in packages
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return _columns(rows, widths)


def _extras(extras: Sequence[Extra]) -> list[str]:
    lines = []
    for extra in extras:
        there = ", ".join(f"{p.name} {p.installed}" for p in extra.packages if p.installed)
        odd = [p.name for p in extra.packages if p.status == "outside"]
        note = f" (not tested: {', '.join(odd)})" if odd else ""
        absent = f"not installed: {extra.install}"
        lines += _pair(extra.name, f"{there}{note}" if extra.present else absent)
    return lines


def _machine(result: EnvironmentResult) -> list[str]:
    lines = [
        *_pair("processor", result.processor.name),
        *_pair("instructions", _features(result.processor)),
        *_pair("bfloat16", _bfloat16(result.processor)),
        *_pair("cores", _cores(result.processor)),
        *_pair("memory", _memory(result.memory)),
    ]
    if result.torch_error is not None:
        return [*lines, *_pair("torch", f"cannot be used: {result.torch_error}")]
    for device in result.devices:
        size = "" if device.memory is None else f", {_bytes(device.memory)}"
        free = "" if device.free is None or not size else f" ({_bytes(device.free)} free)"
        told = "" if device.name == "cpu" else f": {device.description}{size}{free}"
        lines += _pair("device", f"{device.name}{told}")
    return lines


def _features(processor: Processor) -> str:
    has = [name for name, there in processor.features.items() if there]
    lacks = [name for name, there in processor.features.items() if not there]
    parts = [", ".join(has), f"not {', '.join(lacks)}" if lacks else ""]
    return "; ".join(filter(None, parts)) or "not known"


def _bfloat16(processor: Processor) -> str:
    if processor.bfloat16 is None:
        return "not known"
    if processor.bfloat16:
        return "yes: training.bf16 auto is on"
    return "no instructions for it: training.bf16 auto is off"


def _cores(processor: Processor) -> str:
    usable = processor.usable
    parts = [
        "number not known" if processor.cores is None else str(processor.cores),
        "" if usable is None or usable == processor.cores else f"{usable:g} usable here",
        "" if processor.threads is None else f"torch uses {_count(processor.threads, 'thread')}",
    ]
    limits = " ".join(f"{name}={value}" for name, value in processor.variables.items())
    return ", ".join(filter(None, parts)) + (f" ({limits})" if limits else "")


def _memory(memory: Memory) -> str:
    parts = [
        "" if memory.total is None else _bytes(memory.total),
        "" if memory.free is None else f"{_bytes(memory.free)} free",
        "" if memory.limit is None else f"limit of the container {_bytes(memory.limit)}",
    ]
    return ", ".join(filter(None, parts)) or "not known"


def _folders(folders: Sequence[Folder]) -> list[str]:
    lines = []
    for folder in folders:
        parts = [
            "" if folder.free is None else f"{_bytes(folder.free)} free",
            "" if folder.variable is None else f"set by {folder.variable}",
            "" if folder.exists else "not made yet",
            "" if folder.writable else "cannot be written",
        ]
        lines += _pair(folder.name, f"{folder.path} ({', '.join(filter(None, parts))})")
    return lines


def _network(result: EnvironmentResult) -> list[str]:
    network = result.network
    lines = _pair("offline", "yes" if network.offline else "no")
    for name, value in network.variables.items():
        lines += _pair("", f"{name}={value}")
    return [*lines, *_pair("token", network.token or "none: `hf auth login` gets one")]


def _speed_ups(result: EnvironmentResult, switch: str) -> list[str]:
    lines = []
    for one in result.speed_ups:
        if one.switch.startswith(switch):
            state = {True: "on", False: "off", None: "?"}[one.on]
            lines += _pair(one.name, f"{state:<3} {one.what} ({one.why})")
    return [*lines, f"  Each goes off with {switch}{' NAME' if switch[0] == '-' else ': [NAME]'}."]


def _variables(result: EnvironmentResult) -> list[str]:
    lines = []
    for one in result.variables:
        lines += textwrap.wrap(
            visible_line(f"{one.name}={one.value}  ({one.sets or 'sets nothing'})"),
            WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines or ["  none is set; HFCLI_GENERATE_SEED=1 would be --seed 1 of generate"]


def _check(result: EnvironmentResult) -> list[str]:
    check = result.check
    assert check is not None
    if check.error is not None:
        return _pair("failed", check.error)
    told = f"two training steps and ten tokens in {check.seconds:.0f} s"
    return [*_pair("passed", told), *_pair("text", check.text or "")]


def _bytes(number: int) -> str:
    return f"{number / GIB:.1f} GiB"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
