"""Cases -> figures: every side in turn, several times, and the ratios of each turn.

Writes no tables.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Outcome, Side, differences
from benchmarks.processes import SideError, run

Told = Callable[[str], None]


@dataclass(frozen=True)
class Spread:
    """Lowest, middle and highest of the turns."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(min(values), statistics.median(values), max(values))


@dataclass(frozen=True)
class Pair:
    """hfcli or a peer, against the plain script.

    Args:
        side: which.
        seconds: of each turn.
        ratio: the plain script's seconds over these, turn by turn; None: refused, or nothing to
            compare to.
        refused: why there is no figure.
    """

    side: str
    seconds: list[float]
    ratio: Spread | None = None
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """A case with its figures."""

    name: str
    title: str
    against: str
    limit: bool  # at_least and aim are seconds, not ratios
    at_least: float
    aim: float
    plain_seconds: list[float]
    work: dict[str, Any]  # of hfcli's last turn
    pairs: list[Pair]  # hfcli first

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure(case: Case, repeats: int, tell: Told) -> Measured:
    """Run all sides `repeats` times, in turn; every second turn the other way round.

    A side that fails is refused; the others go on.
    """
    case.prepare()
    sides = [case.ours, *([case.plain] if case.plain else []), *filter(_installed, case.peers)]
    outcomes: dict[str, list[Outcome]] = {side.name: [] for side in sides}
    failed: dict[str, str] = {}
    for turn in range(repeats):
        for side in sides if turn % 2 else reversed(sides):
            if side.name in failed:
                continue
            try:
                outcome = _once(side)
            except SideError as e:
                failed[side.name] = str(e)
                tell(f"{case.name}: {side.name}: {e}")
                continue
            outcomes[side.name].append(outcome)
            tell(f"{case.name}: {side.name}: {outcome.seconds:.3g} s  {dict(outcome.work)}")
    return summarize(case, outcomes, failed)


def summarize(case: Case, outcomes: dict[str, list[Outcome]], failed: dict[str, str]) -> Measured:
    """Compare the turns of each side with those of the plain script."""
    plain = outcomes[case.plain.name] if case.plain else []
    pairs = []
    for side in (case.ours, *case.peers):
        if side.name not in outcomes:
            continue
        own = outcomes[side.name]
        reasons = [failed[side.name].splitlines()[0]] if side.name in failed else []
        if case.plain is not None:
            if case.plain.name in failed:
                reasons.append("the plain script failed")
            reasons += _different(case, own, plain)
        ratio = None
        if case.plain is not None and not reasons:
            ratio = Spread.of([b.seconds / a.seconds for a, b in zip(own, plain, strict=True)])
        pairs.append(Pair(side.name, [outcome.seconds for outcome in own], ratio, reasons))
    ours = outcomes[case.ours.name]
    return Measured(
        name=case.name,
        title=case.title,
        against=case.against,
        limit=case.plain is None,
        at_least=case.at_least,
        aim=case.aim,
        plain_seconds=[outcome.seconds for outcome in plain],
        work=dict(ours[-1].work) if ours else {},
        pairs=pairs,
    )


def _different(case: Case, own: Sequence[Outcome], plain: Sequence[Outcome]) -> list[str]:
    found: list[str] = []
    for ours, theirs in zip(own, plain, strict=False):
        found += differences(case.equal, ours.work, theirs.work)
    return list(dict.fromkeys(found))


def _installed(side: Side) -> bool:
    return side.needs is None or importlib.util.find_spec(side.needs) is not None


def _once(side: Side) -> Outcome:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return side.measure(run(side.command(folder), folder))
