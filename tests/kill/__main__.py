"""`python -m tests.kill [JOB ...] [--calls N] [--moments N] [--seed N]`: what `make kill` runs.

Every case begins a job in a folder of its own, kills it at a call that changes a file (or at a
random moment), runs the command that goes on, and compares with the job that nobody killed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.fuzz import forked
from tests.kill import hook, jobs

CALLS = 200
MOMENTS = 50
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LONGEST = 600.0  # seconds of a command, on a busy machine
KNOWN = {0, 143, 130, *(-number for number in SIGNALS)}  # a signal may come before its handler


def main() -> int:
    """Run the cases and tell their counts; 1 when any differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("jobs", nargs="*", metavar="JOB")
    parser.add_argument(
        "--calls", type=int, default=CALLS, help="kills at a call, all jobs together"
    )
    parser.add_argument("--moments", type=int, default=MOMENTS, help="kills at a random moment")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", NO_COLOR="1", COLUMNS="200")
    with tempfile.TemporaryDirectory(prefix="hfcli-kill-") as home:
        os.environ.update(HF_HOME=f"{home}/hf", HFCLI_CACHE=f"{home}/cache")
        forked.warm_up()
        hook.install()
        known = jobs.build(Path(home))
        names = wanted.jobs or list(known)
        bad = 0
        for number, name in enumerate(names):
            share = [len(range(number, n, len(names))) for n in (wanted.calls, wanted.moments)]
            bad += _job(name, known[name], Path(home), share[0], share[1], wanted.seed)
    return 1 if bad else 0


def _job(name: str, job: jobs.Job, home: Path, n_calls: int, n_moments: int, seed: int) -> int:
    """Kill one job at so many calls and moments; the number of cases that differ."""
    warm, whole = home / f"{name}-warm", home / f"{name}-whole"
    warm.mkdir()
    whole.mkdir()
    _run(job.begin, warm, {})  # fills the cache, so that later runs change as many files
    outcome = _run(job.begin, whole, {hook.COUNT: str(home / f"{name}-calls")})
    if outcome.code:
        sys.exit(f"{name}: exit {outcome.code}: {outcome.last_line()}")
    expected = job.result(whole)
    total = hook.calls_of(home / f"{name}-calls")
    counts: Counter[str] = Counter()
    for case, env in enumerate(_cases(total, outcome.seconds, n_calls, n_moments, seed)):
        folder = home / f"{name}-{case}"
        folder.mkdir()
        said = _killed_and_resumed(job, folder, env, expected, counts)
        if said is not None:
            counts["DIFFERS"] += 1
            print(f"{name} {env}: {said}", flush=True)
        shutil.rmtree(folder)
    told = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
    print(f"{name}: {n_calls} kills at one of {total} calls, {n_moments} at a moment: {told}")
    return counts["DIFFERS"]


def _cases(
    total: int, seconds: float, n_calls: int, n_moments: int, seed: int
) -> Iterator[dict[str, str]]:
    """The environments of the cases: calls spread over all there are, then random moments."""
    for case in range(n_calls):
        yield {hook.AT: str(1 + case * total // n_calls)}
    draw = random.Random(seed)
    for case in range(n_moments):
        number = SIGNALS[case % len(SIGNALS)]
        yield {hook.AFTER: f"{draw.uniform(0, seconds):.3f}:{int(number)}"}


def _killed_and_resumed(
    job: jobs.Job,
    folder: Path,
    env: Mapping[str, str],
    expected: Mapping[str, object],
    counts: Counter[str],
) -> str | None:
    """What is wrong with a case; None: nothing."""
    killed = _run(job.begin, folder, env)
    counts["killed" if killed.code == -signal.SIGKILL else f"exit {killed.code}"] += 1
    if killed.code not in KNOWN:
        return f"exit {killed.code}: {killed.last_line()}"
    # A command that had ended before its signal came is not begun once more by `--resume`.
    again = _run(job.resume, folder, {})
    if again.code:
        return f"resumed, exit {again.code}: {again.last_line()}"
    found = job.result(folder)
    wrong = [name for name, value in expected.items() if found[name] != value]
    if "names" in wrong:
        wrong.append(str(set(found["names"]) ^ set(expected["names"])))  # type: ignore[call-overload]
    return f"other {', '.join(wrong)}" if wrong else None


def _run(arguments: list[str], folder: Path, env: Mapping[str, str]) -> forked.Outcome:
    return forked.run(arguments, cwd=folder, env=env, cpu_seconds=LONGEST, wall_seconds=LONGEST)


if __name__ == "__main__":
    sys.exit(main())
