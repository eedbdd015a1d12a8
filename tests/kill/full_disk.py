"""Commands on a disk that is full at a random moment, and the same commands once there is room.

`python -m tests.kill.full_disk [NUMBER [SEED]]`, as root on Linux: a small tmpfs is mounted. Law: a
command that finds its disk full exits with 5, in one line; the same command (with `--resume` for
finetune) on the same disk, made larger, gives the result of a run that was never interrupted. A
full cache changes nothing.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.fuzz import forked, tiny

PAGE = 4096
LARGE = 64 << 20
TIMES = {"tokens_per_second", "seconds", "created", "command", "output_dir", "train_runtime"}


@dataclass(frozen=True)
class Job:
    """A command that writes into `out` on the small disk.

    Attributes:
        arguments: of hfcli; `OUT` stands for the place.
        again: added when it goes on.
        results: files in OUT by glob (or OUT itself, ""), that must be the same to the byte.
        logs: JSON lines that must be the same but for times.
    """

    arguments: Sequence[str]
    results: Sequence[str]
    again: Sequence[str] = ()
    logs: Sequence[str] = ()


def jobs(home: Path) -> dict[str, Job]:
    """Write models, data and recipes below `home`; return what is run on them."""
    tiny.build_gpt2(home / "gpt2")
    rows = [{"text": f"The harbour was quiet {i}.", "label": "ab"[i % 2]} for i in range(48)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": f"The lamp {i}"}) + "\n" for i in range(60))
    )
    training = {
        "max_steps": 6, "save_strategy": "steps", "save_steps": 2, "logging_steps": 1,
        "per_device_train_batch_size": 4, "eval_strategy": "steps", "eval_steps": 3, "bf16": False,
    }  # fmt: skip
    for name, extra in {"text-classification": {}, "text-generation": {"packing": "no"}}.items():
        recipe = {
            "task": {"name": name, **extra},
            "model": {"name_or_path": str(home / "gpt2")},
            "data": {"train": str(home / "rows.jsonl")},
            "training": training,
        }
        (home / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    lora = home / "lora.yaml"
    lora.write_text((home / "text-generation.yaml").read_text().replace(
        "model:\n", "model:\n  lora:\n    r: 4\n"
    ))  # fmt: skip
    for name in ("text-classification", "lora"):
        done = forked.run(
            ["finetune", f"{name}.yaml", "-o", f"trained-{name}"], cwd=home, cpu_seconds=60
        )
        assert done.code == 0, done.stderr
    bulk = ["generate", "-m", "gpt2", "-i", "prompts.jsonl", "--max-new-tokens", "8", "-o"]
    trained = {"again": ["--resume"], "logs": ["metrics.jsonl"]}
    return {
        "classification": Job(
            ["finetune", "text-classification.yaml", "-o", "OUT"], ["*.safetensors"], **trained
        ),
        "language model": Job(
            ["finetune", "text-generation.yaml", "-o", "OUT"], ["*.safetensors"], **trained
        ),
        "adapter": Job(
            ["finetune", "lora.yaml", "-o", "OUT"], ["adapter_m*.safetensors"], **trained
        ),
        "evaluation": Job(
            ["eval", "--model", "trained-text-classification", "--data", "rows.jsonl", "-o", "OUT"],
            ["predictions.jsonl"],
        ),
        "jsonl": Job([*bulk, "OUT.jsonl"], [""]),
        "csv": Job([*bulk, "OUT.csv"], [""]),
        "parquet": Job([*bulk, "OUT.parquet"], [""]),
        "merge": Job(["export", "merge", "trained-lora", "-o", "OUT"], ["*.safetensors"]),
        "init": Job(["recipes", "init", "--data", "rows.jsonl", "-o", "OUT.yaml"], [""]),
    }


def result(job: Job, place: Path) -> dict[str, object]:
    """What a job wrote, without times."""
    target = next(Path(a.replace("OUT", str(place))) for a in job.arguments if "OUT" in a)
    found: dict[str, object] = {}
    for pattern in job.results:
        for path in [target] if not pattern else sorted(target.glob(pattern)):
            found[path.name] = path.read_bytes()
    for name in job.logs:
        lines = map(json.loads, (target / name).read_text().splitlines())
        found[name] = [{k: v for k, v in line.items() if k not in TIMES} for line in lines]
    assert found, f"{target} holds no result"
    return found


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a tmpfs, to be resized by `resize`."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={LARGE}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def resize(disk: Path, size: int) -> None:
    """Give the disk another size in bytes; 0 would mean no limit."""
    subprocess.run(["mount", "-o", f"remount,size={max(PAGE, size)}", disk], check=True)


def can_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    with tempfile.TemporaryDirectory(prefix="hfcli-mount-") as folder:
        made = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True)
        if made.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return made.returncode == 0


def main(number: int, seed: int) -> int:
    """Run `number` cases; print the counts, and return how many broke the law."""
    if not can_mount():
        print("full disk: skipped, since no tmpfs can be mounted here")
        return 0
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", NO_COLOR="1", COLUMNS="200")
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="hfcli-full-") as name:
        home = Path(name)
        os.environ.update(HF_HOME=f"{home}/hf", HFCLI_CACHE=f"{home}/cache")
        forked.warm_up()
        known = jobs(home)
        cases = Cases(home, known)
        with small_disk(home / "disk") as disk:
            for one in range(seed, seed + number):
                counts[cases.run(one, disk)] += 1
    told = ", ".join(f"{what}: {n}" for what, n in sorted(counts.items()))
    print(f"full disk: {counts.total()} runs; {told}")
    return sum(n for what, n in counts.items() if what.startswith("BROKEN"))


class Cases:
    """Cases by seed, and the results of jobs that met no full disk."""

    def __init__(self, home: Path, jobs: dict[str, Job]) -> None:
        self.home = home
        self.jobs = jobs
        self.whole: dict[str, tuple[dict[str, object], int]] = {}

    def run(self, seed: int, disk: Path) -> str:
        """Run a case; how it went, in a word."""
        draw = random.Random(seed)
        name = list(self.jobs)[seed % len(self.jobs)]
        what = draw.choice(["output"] * 4 + ["cache", "temporary"])
        expected, size = self._expected(name)
        room = int(draw.random() * size) // PAGE * PAGE
        subprocess.run(f"rm -rf {disk}/* {disk}/.[!.]*", shell=True, check=True)
        resize(disk, LARGE)
        place = (disk if what == "output" else self.home / f"case-{seed}") / "out"
        place.parent.mkdir(exist_ok=True)
        env = {"cache": {"HFCLI_CACHE": str(disk)}, "temporary": {"TMPDIR": str(disk)}}.get(
            what, {}
        )
        resize(disk, room)
        first = self._start(self.jobs[name], place, env)
        problem = _problem(first, what)
        shown = f"{name}, {what} on a disk of {room:,} bytes (seed {seed})"
        if problem is None and first.code == 5:
            resize(disk, LARGE)
            again = self._start(self.jobs[name], place, env, more=self.jobs[name].again)
            if again.code != 0:
                problem = f"then exit {again.code}: {again.last_line()}"
        if problem is None:
            found = result(self.jobs[name], place)
            other = [n for n in {**found, **expected} if found.get(n) != expected.get(n)]
            problem = f"then other results: {', '.join(other)}" if other else None
        if problem is not None:
            print(f"{shown}: {problem}")
            return f"BROKEN {name}"
        return "full, then the same" if first.code == 5 else "had room"

    def _expected(self, name: str) -> tuple[dict[str, object], int]:
        """The result of a job, and the bytes that it wrote."""
        if name not in self.whole:
            place = self.home / f"whole-{len(self.whole)}" / "out"
            place.parent.mkdir()
            done = self._start(self.jobs[name], place, {})
            assert done.code == 0, done.stderr
            size = sum(p.stat().st_size + PAGE for p in place.parent.rglob("*") if p.is_file())
            self.whole[name] = result(self.jobs[name], place), size
        return self.whole[name]

    def _start(
        self, job: Job, place: Path, env: dict[str, str], more: Sequence[str] = ()
    ) -> forked.Outcome:
        arguments = [a.replace("OUT", str(place)) for a in job.arguments]
        return forked.run([*arguments, *more], cwd=self.home, env=env, cpu_seconds=60,
                          wall_seconds=300)  # fmt: skip


def _problem(done: forked.Outcome, what: str) -> str | None:
    errors = done.stderr.count(b"error: ")
    if done.is_bug or b"Traceback" in done.stderr:
        return f"exit {done.code}: {done.last_line()}"
    if done.code not in ((0,) if what == "cache" else (0, 5)):
        return f"exit {done.code}: {done.last_line()}"
    if done.code == 5 and errors != 1:
        return f"{errors} lines of error"
    return None


if __name__ == "__main__":
    given = [int(a) for a in sys.argv[1:]]
    sys.exit(1 if main(*given, *(20, 0)[len(given) :]) else 0)
