"""Commands whose folders cannot be written, and whose inputs cannot be read.

`python -m tests.kill.places [NUMBER [SEED]]`: some of the cases, or all. Law: a place that cannot
be written is exit 5, data 3, a model 4, a recipe 2, each in one line; a cache is done without.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import forked
from tests.kill.full_disk import jobs

CLASSIFY = "text-classification.yaml"
RUN = "trained-text-classification"


@dataclass(frozen=True)
class Case:
    """A command, and how it may end."""

    codes: tuple[int, ...]
    arguments: tuple[str | Path, ...]
    env: dict[str, str] = field(default_factory=dict)


def cases(home: Path) -> list[Case]:
    """Write what the cases need, and return them."""
    written = jobs(home)
    closed, hidden = home / "closed", home / "hidden"
    shutil.copytree(home / RUN, closed / "run")
    shutil.copytree(home / "gpt2", closed / "model")
    (closed / "empty").mkdir()
    for path in [*closed.rglob("*"), closed]:
        path.chmod(path.stat().st_mode & ~0o222)
    found = [*_into(closed), *_hidden(home, hidden)]
    for job in written.values():
        found.append(Case((5,), tuple(a.replace("OUT", f"{closed}/out") for a in job.arguments)))
    for value in (closed / "empty", closed / "no", hidden / "sub", "/dev/null/x", "/proc/nothing"):
        found += _variables(str(value))
    return found


def _into(closed: Path) -> Iterator[Case]:
    for name in ("empty", "new"):
        yield Case((5,), ("finetune", CLASSIFY, "-o", closed / name))
        yield Case((5,), ("eval", "--model", RUN, "--data", "rows.jsonl", "-o", closed / name))
        yield Case((5,), ("export", "merge", "trained-lora", "-o", closed / name))
        yield Case((5,), ("recipes", "copy", "bundled-pretrain", closed / name))
    yield Case((5,), ("eval", closed / "run"))
    for flag in ("--resume", "--overwrite"):
        yield Case((5,), ("finetune", CLASSIFY, "-o", closed / "run", flag))
    yield Case((0,), ("generate", "-m", closed / "model", "hi", "--max-new-tokens", "2"))


def _variables(value: str) -> Iterator[Case]:
    """Places of caches and temporary files; only the last are needed."""
    text = ("generate", "-m", "gpt2", "hi", "--max-new-tokens", "2")
    for variable in ("HFCLI_CACHE", "TMPDIR", "HOME", "HF_HOME", "XDG_CACHE_HOME"):
        env = {variable: value}
        if variable in ("HOME", "XDG_CACHE_HOME"):
            env["HFCLI_CACHE"] = ""
        codes = (0, 5) if variable == "TMPDIR" else (0,)
        yield Case(codes, ("finetune", CLASSIFY, "-o", "NEW"), env)
        yield Case(codes, text, env)
        yield Case(codes, (*text[:3], "-i", "prompts.jsonl", "-o", "NEW.jsonl", *text[4:]), env)


def _hidden(home: Path, hidden: Path) -> Iterator[Case]:
    """Files without permission to read, one by one and in a folder that cannot be entered."""
    (hidden / "sub").mkdir(parents=True)
    for name in ("rows.jsonl", "prompts.jsonl"):
        for folder in (hidden, hidden / "sub"):
            shutil.copy(home / name, folder)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "."):
        model = hidden / f"model-{name}"
        shutil.copytree(home / "gpt2", model)
        (model / name).chmod(0)
    for name in ("recipe.yaml", "run.json"):
        shutil.copytree(home / RUN, hidden / f"run-{name}")
        (hidden / f"run-{name}" / name).chmod(0)
    shutil.copytree(home / "trained-lora", hidden / "lora")
    for name in ("rows.jsonl", "prompts.jsonl", "lora/adapter_model.safetensors", "sub"):
        (hidden / name).chmod(0)
    for folder in (hidden, hidden / "sub"):
        rows = folder / "rows.jsonl"
        yield Case((3,), ("finetune", CLASSIFY, "-o", "NEW", f"data.train={rows}"))
        yield Case((3,), ("eval", "--model", RUN, "--data", rows, "-o", "NEW"))
        yield Case((3,), ("recipes", "init", "--data", rows, "-o", "NEW.yaml"))
        prompts = folder / "prompts.jsonl"
        yield Case((3,), ("generate", "-m", "gpt2", "-i", prompts, "-o", "NEW.jsonl"))
    for model in sorted(path for path in hidden.iterdir() if path.name.startswith("model-")):
        yield Case((4,), ("generate", "-m", model, "hi"))
        yield Case((4,), ("chat", "-m", model))
        yield Case((4,), ("finetune", CLASSIFY, "-o", "NEW", f"model.name_or_path={model}"))
        yield Case((4,), ("eval", "--model", model, "--data", "rows.jsonl", "-o", "NEW"))
    yield Case((2, 4, 5), ("eval", hidden / "run-recipe.yaml"))
    yield Case((5,), ("finetune", CLASSIFY, "-o", hidden / "run-run.json", "--resume"))
    yield Case((4,), ("generate", "-m", hidden / "lora", "hi"))
    yield Case((4,), ("export", "merge", hidden / "lora", "-o", "NEW"))


def main(number: int, seed: int) -> int:
    """Run `number` cases; print the counts, and return how many broke the law."""
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", NO_COLOR="1", COLUMNS="200")
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="hfcli-places-") as name:
        home = Path(name)
        os.environ.update(HF_HOME=f"{home}/hf", HFCLI_CACHE=f"{home}/cache")
        forked.warm_up()
        found = cases(home)
        fresh = (home / f"new-{i}" for i in itertools.count())
        for case in random.Random(seed).sample(found, min(number, len(found))):
            place = str(next(fresh))
            arguments = [str(a).replace("NEW", place) for a in case.arguments]
            done = forked.run(
                arguments, cwd=home, env=case.env, cpu_seconds=60, wall_seconds=300,
                privileged=False,
            )  # fmt: skip
            lines = done.stderr.count(b"error: ")
            kept = done.code in case.codes and not done.is_bug and lines == (done.code != 0)
            counts[f"exit {done.code}" if kept else "BROKEN"] += 1
            if not kept:
                print(f"{arguments} {case.env}: exit {done.code}: {done.last_line()}")
        for path in [home / "closed", home / "hidden", *home.glob("hidden/*"), *home.rglob("*")]:
            path.chmod(0o700)
    told = ", ".join(f"{what}: {n}" for what, n in sorted(counts.items()))
    print(f"places: {counts.total()} runs; {told}")
    return counts["BROKEN"]


if __name__ == "__main__":
    given = [int(a) for a in sys.argv[1:]]
    sys.exit(1 if main(*given, *(10_000, 0)[len(given) :]) else 0)
