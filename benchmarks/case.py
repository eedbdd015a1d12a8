"""A case: the same work done by hfcli, by a plain script, and by peers that are installed.

Each side tells what it did (`Outcome.work`); a pair that did not do the same is refused. Runs
nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import Finished


@dataclass(frozen=True)
class Outcome:
    """What a side did, and how long it took.

    Args:
        seconds: less is better.
        work: what was done: tokens, rows, batch, loss, a hash of the texts, ...
    """

    seconds: float
    work: Mapping[str, Any]


@dataclass(frozen=True)
class Side:
    """One way to do the work.

    Args:
        name: shown.
        command: (a folder of its own for each run) -> the command.
        measure: what the finished process did.
        needs: a module without which the side is left out.
    """

    name: str
    command: Callable[[Path], list[str]]
    measure: Callable[[Finished], Outcome]
    needs: str | None = None


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Args:
        name: for `--only`.
        title: the work.
        against: what the plain script does, in words.
        ours: hfcli.
        plain: the plain script; None where hfcli has to be below a number of seconds.
        script: file in `plain/` that the plain side runs; None only without one.
        at_least: the plain script's seconds over ours (or seconds, without a plain script).
        aim: likewise.
        equal: key of `work` -> how far apart two sides may be, as a share of the plain one; 0:
            not at all. A key that is not named here, or that one side does not tell, refuses the
            pair.
        peers: other tools that can do the same work.
        prepare: makes what all sides need, before the first run.
    """

    name: str
    title: str
    against: str
    ours: Side
    plain: Side | None
    script: str | None
    at_least: float
    aim: float
    equal: Mapping[str, float] = field(default_factory=dict)
    peers: Sequence[Side] = ()
    prepare: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Context:
    """What a case is made for.

    Args:
        work: folder for models and inputs, kept between runs of the benchmark.
        quick: less work, only to see that everything runs.
    """

    work: Path
    quick: bool = False


def all_cases(context: Context) -> list[Case]:
    """Cases of every file in `cases/`, each of which has a function `cases(context)`."""
    package = importlib.import_module("benchmarks.cases")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    modules = [importlib.import_module(f"benchmarks.cases.{name}") for name in names]
    return [case for module in modules for case in module.cases(context)]


def differences(
    equal: Mapping[str, float], ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> list[str]:
    """Why two sides did not do the same work; empty when they did."""
    if not equal:
        return ["the case does not say what has to be equal"]
    found = []
    for key in sorted({*equal, *ours, *theirs}):
        if key not in equal:
            found.append(f"{key}: the case has no rule for it")
        elif key not in ours or key not in theirs:
            found.append(f"{key}: told by one side only")
        elif not _close(ours[key], theirs[key], equal[key]):
            found.append(f"{key}: {_shown(ours[key])} and {_shown(theirs[key])}")
    return found


def _close(ours: Any, theirs: Any, tolerance: float) -> bool:
    if not tolerance:
        return bool(ours == theirs)
    # Written so that NaN is close to nothing.
    return bool(abs(ours - theirs) <= tolerance * abs(theirs))


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
