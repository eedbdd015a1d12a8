"""The benchmark: no figure for a pair that did not do the same work."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.case import Case, Context, Outcome, Side, all_cases, differences
from benchmarks.processes import PLAIN, ROOT, Finished, SideError, run, split_lines
from benchmarks.run import measure, summarize

WORK = {"tokens": 256, "loss": 0.70}
EQUAL = {"tokens": 0, "loss": 0.1}
CASES = all_cases(Context(work=Path("work")))


def test_every_case_names_its_plain_script() -> None:
    assert CASES
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert (case.plain is None) == (case.script is None)
        if case.script is not None:
            assert (PLAIN / case.script).is_file()
            assert case.equal, case.name


def test_every_plain_script_is_used() -> None:
    of_peers = {_script(side) for side in _peers()}
    used = {case.script for case in CASES} - {None} | of_peers
    assert {path.name for path in PLAIN.glob("*.py")} == used


def test_peers_have_scripts_and_modules_that_the_docs_name() -> None:
    peers = _peers()
    assert peers
    docs = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for side in peers:
        assert (PLAIN / _script(side)).is_file()
        assert f"`{side.needs}`" in docs, side.name
        assert f"| {side.name} |" in docs, side.name


def test_a_peer_that_is_not_installed_is_left_out() -> None:
    here = Side("here", _case().ours.command, _case().ours.measure, needs="sys")
    gone = replace(here, name="gone", needs="no_such_module")
    pairs = measure(replace(_case(), peers=[here, gone]), 1, lambda _: None).pairs
    assert [pair.side for pair in pairs] == ["hfcli", "here"]


def test_equal_work_gives_ratios_turn_by_turn() -> None:
    (pair,) = summarize(_case(), _turns([1.0, 2.0], [3.0, 8.0]), {}).pairs
    assert pair.refused == []
    assert pair.ratio is not None
    assert (pair.ratio.low, pair.ratio.median, pair.ratio.high) == (3.0, 3.5, 4.0)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"tokens": 255, "loss": 0.70}, "tokens: 256 and 255"),
        ({"tokens": 256, "loss": 0.80}, "loss: 0.7 and 0.8"),
        ({"tokens": 256, "loss": math.nan}, "loss: 0.7 and nan"),
        ({"tokens": 256}, "loss: told by one side only"),
        ({"tokens": 256, "loss": 0.70, "batch": 1}, "batch: the case has no rule for it"),
    ],
)
def test_a_pair_whose_work_differs_is_refused(other: dict[str, Any], told: str) -> None:
    # One turn of two is enough.
    outcomes = _turns([1.0, 1.0], [3.0, 3.0])
    outcomes["plain"][1] = Outcome(3.0, other)
    (pair,) = summarize(_case(), outcomes, {}).pairs
    assert pair.ratio is None
    assert pair.refused == [told]


def test_a_case_without_rules_is_refused() -> None:
    assert differences({}, WORK, WORK)


def test_sides_that_fail_are_refused_and_others_go_on(tmp_path: Path) -> None:
    case = _case(code="import sys; sys.exit('no such model')")
    told: list[str] = []
    (pair,) = measure(case, 2, told.append).pairs
    assert pair.ratio is None
    assert "exit code 1" in pair.refused[0]
    assert any("no such model" in line for line in told)


def test_a_process_is_watched(tmp_path: Path) -> None:
    slow = "import sys, time; print('a'); time.sleep(0.2); print('b', file=sys.stderr); print('c')"
    done = run([sys.executable, "-c", slow], tmp_path)
    assert done.stdout() == "a\nc\n"
    at = {line.text: line.seconds for line in done.lines}
    assert done.first_byte is not None
    assert done.first_byte <= at["a"] < at["a"] + 0.15 < at["b"]
    assert at["b"] <= done.seconds + 0.05, "who reads may be told a moment after the end"
    with pytest.raises(SideError, match="exit code 3"):
        run([sys.executable, "-c", "import sys; sys.exit(3)"], tmp_path)


def test_a_line_has_the_time_of_its_end() -> None:
    lines = split_lines("stdout", [(1.0, b"on"), (2.0, b"e\ntwo\nthr"), (3.0, b"ee")])
    assert [(line.seconds, line.text) for line in lines] == [
        (2.0, "one"), (2.0, "two"), (3.0, "three"),
    ]  # fmt: skip


def _peers() -> list[Side]:
    """Without what hfcli itself has beside its default."""
    return [
        side for case in CASES for side in case.peers if not side.name.startswith("hfcli")
    ]  # fmt: skip


def _script(side: Side) -> str:
    (script,) = (Path(word).name for word in side.command(Path()) if word.endswith(".py"))
    return script


def _case(code: str = "print()") -> Case:
    def measured(done: Finished) -> Outcome:
        return Outcome(done.seconds, WORK)

    ours = Side("hfcli", lambda _: [sys.executable, "-c", code], measured)
    plain = Side("plain", lambda _: [sys.executable, "-c", "print()"], measured)
    return Case("name", "title", "against", ours, plain, "script", 1, 2, EQUAL)


def _turns(ours: list[float], plain: list[float]) -> dict[str, list[Outcome]]:
    return {
        "hfcli": [Outcome(seconds, WORK) for seconds in ours],
        "plain": [Outcome(seconds, WORK) for seconds in plain],
    }
