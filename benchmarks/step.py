"""What a step of GPT-2 small takes, and what each optimization that is disabled makes of it.

    python -m benchmarks.step [--work classification|blocks] [--turns N]

Each line of the table is a run of hfcli in a process of its own: as it is, with one part switched
off, and with all of them off. A step is the time between two log lines, and a figure the median of
the steps, without the first few, of all turns. Classification has 16 different sentences of 26
tokens in every step, language modelling 4 blocks of 512. Makes its models and inputs as the
benchmark does.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.cases.training import BATCH, BLOCK_BATCH, BLOCKS, CLASSIFICATION, STEP, finetune
from benchmarks.made import (
    CLASSIFIER,
    LABELS,
    LANGUAGE_MODEL,
    SST2_WORDS,
    Texts,
    book,
    gpt2_small,
    gpt2_small_classifier,
    sst2_like,
)
from benchmarks.processes import ROOT, run
from hfcli.fast import names

TOKENS = 26  # a sentence of SST-2 in the mean
WARM_UP = 3  # steps in which memory is fetched and kernels are chosen
COUNTED = {"classification": 9, "blocks": 3}
Command = Callable[[Path, Sequence[str]], list[str]]


def parts() -> tuple[str, ...]:
    """The names of `training.disable_optimizations`."""
    return names("training")


def sentences(work: Path, rows: int) -> Path:
    """A csv file of sentences that all have the same number of tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(gpt2_small_classifier(work) / "tokenizer.json"))
    path, texts = work / f"sentences-{rows}.csv", Texts(2)
    found: list[str] = []
    while len(found) < rows:
        text = texts.text(texts.length(SST2_WORDS))
        if len(tokenizer.encode(text).ids) == TOKENS:
            found.append(text)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([text, LABELS[i % 2]] for i, text in enumerate(found))
    return path


def classification(work: Path) -> Command:
    """Runs over sentences of one length, an epoch each."""
    steps = WARM_UP + COUNTED["classification"]
    data, held = sentences(work, BATCH * steps), sst2_like(work / "sst2-held.csv", BATCH, seed=1)

    def command(folder: Path, plain: Sequence[str]) -> list[str]:
        recipe = CLASSIFICATION.replace("num_train_epochs: 2", "num_train_epochs: 1")
        named = {"model": work / CLASSIFIER, "data": data, "held": held, "batch": BATCH}
        return [*finetune(folder, recipe, **named), f"training.disable_optimizations={list(plain)}"]

    return command


def blocks(work: Path) -> Command:
    """Runs over blocks of a long text."""
    gpt2_small(work)
    data, held = book(work / "book.txt", 50_000), book(work / "book-held.txt", 100, seed=1)

    def command(folder: Path, plain: Sequence[str]) -> list[str]:
        named = {"model": work / LANGUAGE_MODEL, "data": data, "held": held, "batch": BLOCK_BATCH}
        recipe = finetune(folder, BLOCKS, **named, steps=WARM_UP + COUNTED["blocks"])
        return [*recipe, f"training.disable_optimizations={list(plain)}"]

    return command


WORK: dict[str, Callable[[Path], Command]] = {"classification": classification, "blocks": blocks}


def measure(command: Command, plain: Sequence[str]) -> list[float]:
    """Seconds of the steps of one run that count."""
    with tempfile.TemporaryDirectory() as name:
        finished = run(command(Path(name), plain), Path(name))
    ends = [line.seconds for line in finished.lines if line.text.startswith(STEP["hfcli"])]
    return [end - start for start, end in pairwise(ends)][WARM_UP - 1 :]


def main() -> None:
    """Runs in turn; the table is on stdout."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step")
    parser.add_argument("--work", choices=list(WORK), default="classification")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "bench", metavar="FOLDER")
    options = parser.parse_args()
    work = options.output.resolve() / "work"
    work.mkdir(parents=True, exist_ok=True)
    command = WORK[options.work](work)
    variants = {"-": (), **{name: (name,) for name in parts()}, "all of them": parts()}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(options.turns):
        for name, plain in variants.items():
            seconds[name] += measure(command, plain)
            print(f"turn {turn + 1}, without {name}: {seconds[name][-1]:.3f}", file=sys.stderr)
    print(f"| {options.work}, disabled | seconds a step | lowest | highest |\n|---|---|---|---|")
    for name, found in seconds.items():
        print(f"| {name} | {statistics.median(found):.3f} | {min(found):.3f} | {max(found):.3f} |")


if __name__ == "__main__":
    main()
