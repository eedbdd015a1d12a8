"""Scoring GPT-2 small: perplexity of a book, classification of sentences as long as SST-2's.

hfcli scores in float32 unless told otherwise; both types are measured. Perplexity must agree
within 0.5 % (a loss of L within 0.005 / L), accuracy within two rows of a hundred.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.case import Case, Context, Outcome, Side
from benchmarks.cases.generation import warm
from benchmarks.made import (
    CLASSIFIER,
    LANGUAGE_MODEL,
    book,
    gpt2_small,
    gpt2_small_classifier,
    sst2_like,
)
from benchmarks.processes import Finished, hfcli, plain

CONTEXT, STRIDE = 1024, 512


def cases(context: Context) -> list[Case]:
    """The rows of the table about scoring."""
    return [
        _perplexity(context, "bfloat16", at_least=3, aim=6),
        _perplexity(context, "float32", at_least=1, aim=1),
        _classification(context, "bfloat16", at_least=8, aim=15),
        _classification(context, "float32", at_least=1, aim=1),
    ]


def _perplexity(context: Context, dtype: str, *, at_least: float, aim: float) -> Case:
    words = 1000 if context.quick else 20_000
    model = str(context.work.absolute() / LANGUAGE_MODEL)
    data = context.work.absolute() / f"book-{words}.txt"

    def prepare() -> None:
        gpt2_small(context.work)
        book(data, words)

    def ours(folder: Path) -> list[str]:
        flags = ["--model", model, "--data", str(data), "--windows", "hf-docs", "--dtype", dtype]
        flags += ["--context", str(CONTEXT), "--stride", str(STRIDE), "-o", str(folder / "eval")]
        return warm(context, hfcli("eval", *flags, "--json"))

    numbers = (str(CONTEXT), str(STRIDE))
    return Case(
        name=f"perplexity-{dtype}",
        title=f"eval, perplexity, stride {STRIDE}, {dtype}",
        against="the HF docs' strided loop, fp32, same stride",
        ours=Side("hfcli", ours, _loss),
        plain=Side(
            "plain",
            lambda _f: plain("perplexity_strided.py", model, str(data), *numbers),
            lambda f: Outcome(f.seconds, json.loads(f.stdout())),
        ),
        script="perplexity_strided.py",
        at_least=at_least,
        aim=aim,
        # The loop takes off one token a window, which its shifted labels do not lose.
        equal={"tokens": 0.003, "loss": 0.0004},
        prepare=prepare,
    )


def _classification(context: Context, dtype: str, *, at_least: float, aim: float) -> Case:
    rows = 64 if context.quick else 2000
    model = str(context.work.absolute() / CLASSIFIER)
    data = context.work.absolute() / f"sst2-eval-{rows}.csv"

    def prepare() -> None:
        gpt2_small_classifier(context.work)
        sst2_like(data, rows, seed=2)

    def ours(folder: Path) -> list[str]:
        flags = ["--model", model, "--data", str(data), "--dtype", dtype]
        return warm(context, hfcli("eval", *flags, "-o", str(folder / "eval"), "--json"))

    return Case(
        name=f"classification-{dtype}",
        title=f"eval, classification, {rows} rows, {dtype}",
        against='pipeline("text-classification") row by row',
        ours=Side("hfcli", ours, _accuracy),
        plain=Side(
            "plain",
            lambda _f: plain("classify_rows.py", model, str(data)),
            lambda f: Outcome(f.seconds, json.loads(f.stdout())),
        ),
        script="classify_rows.py",
        at_least=at_least,
        aim=aim,
        equal={"rows": 0, "accuracy": 0.02},
        prepare=prepare,
    )


def _loss(finished: Finished) -> Outcome:
    told = json.loads(finished.stdout())
    lines = (finished.folder / "eval" / "predictions.jsonl").read_text(encoding="utf-8")
    tokens = sum(json.loads(line)["n_tokens"] for line in lines.splitlines())
    return Outcome(finished.seconds, {"tokens": tokens, "loss": told["metrics"]["loss"]})


def _accuracy(finished: Finished) -> Outcome:
    told = json.loads(finished.stdout())
    return Outcome(
        finished.seconds, {"rows": told["n_rows"], "accuracy": told["metrics"]["accuracy"]}
    )
