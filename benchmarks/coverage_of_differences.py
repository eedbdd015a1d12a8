"""How often do the 95 % intervals of `hfcli compare` hold the true difference?

Run it with: python benchmarks/coverage_of_differences.py [SETS [FIRST_SEED [METRIC...]]]

Two systems score the same rows, which both find hard or easy. Prints the table of
docs/evaluation.md; takes a quarter of an hour for 1,000 sets.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np  # noqa: TID253

from benchmarks.coverage import shown
from hfcli.metrics import shipped_metrics
from hfcli.statistics.paired import differences

POPULATION = 1_000_000
SIZES = (20, 50, 100, 300)
Rows = dict[str, list[Any]]
Draw = Callable[[np.random.Generator, int], tuple[Rows, Rows]]
Noise = Callable[[np.random.Generator, int], Any]


def classified(*, gains: tuple[float, float], shares: Sequence[float], sharp: float = 1.0) -> Draw:
    """Two classifiers whose noise is correlated by 0.8; `sharp` is a factor on B's logits."""

    def draw(random: np.random.Generator, n: int) -> tuple[Rows, Rows]:
        classes = len(shares)
        truth = random.choice(classes, n, p=shares)
        common = random.normal(0, 1, (n, classes))
        sides = []
        for gain, factor in zip(gains, (1.0, sharp), strict=True):
            noise = 0.8**0.5 * common + 0.2**0.5 * random.normal(0, 1, (n, classes))
            logits = factor * (gain * (noise + gain * np.eye(classes)[truth]) + np.log(shares))
            table = np.exp(logits - logits.max(axis=1, keepdims=True))
            table /= table.sum(axis=1, keepdims=True)
            sides.append(
                {
                    "references": truth.tolist(),
                    "predictions": table.argmax(axis=1).tolist(),
                    "probabilities": table.tolist(),
                }
            )
        return sides[0], sides[1]

    return draw


def documents(*, spread: float, own: float, rate: float) -> Draw:
    """Documents of log-normal length; B's loss is `rate` times A's.

    Args:
        spread: of the logarithm of lengths.
        own: how far the systems differ on a document: a gamma variate of this shape each.
        rate: of the means.
    """

    def draw(random: np.random.Generator, n: int) -> tuple[Rows, Rows]:
        tokens = np.ceil(random.lognormal(5, spread, n)).astype(int)
        hard = random.gamma(25, 0.12, n)
        a, b = (
            {"nll": (tokens * hard * r * random.gamma(own, 1 / own, n)).tolist(),
             "n_tokens": tokens.tolist()}
            for r in (1.0, rate)
        )  # fmt: skip
        return a, b

    return draw


def numbers(*, noise: Noise, rate: float) -> Draw:
    """Predictions whose errors are alike, and those of B `rate` times as large."""

    def draw(random: np.random.Generator, n: int) -> tuple[Rows, Rows]:
        truth, common = random.normal(0, 2, n), noise(random, n)
        a, b = (
            {"references": truth.tolist(),
             "predictions": (truth + s * (0.8 * common + 0.6 * noise(random, n))).tolist()}
            for s in (1.0, rate)
        )  # fmt: skip
        return a, b

    return draw


def student(random: np.random.Generator, n: int) -> Any:
    """Errors whose squares have a variance, and no more."""
    return random.standard_t(5, n)


def log_normal(random: np.random.Generator, n: int) -> Any:
    """Errors of either sign whose size is log-normal."""
    return random.choice((-1.0, 1.0), n) * random.lognormal(0, 1, n)


def normal(random: np.random.Generator, n: int) -> Any:
    return random.normal(0, 1, n)


@dataclass(frozen=True)
class Case:
    """Where pairs of rows come from.

    Args:
        what: for the table.
        draw: n rows of both systems.
        names: of the metrics.
        truth: of the difference, where it is known in closed form.
    """

    what: str
    draw: Draw
    names: tuple[str, ...]
    truth: float | None = None


LABELS = ("accuracy", "f1_macro", "balanced_accuracy", "matthews_correlation")
SCORES = ("auroc", "average_precision", "log_loss", "brier")
E3 = float(np.exp(3.09) - np.exp(3))
CASES = (
    Case("4 classes, 65 and 70 % right", classified(gains=(1.4, 1.6), shares=(0.4, 0.3, 0.2, 0.1)),
         LABELS + SCORES),
    Case("2 classes, 80 and 85 % right", classified(gains=(1.2, 1.47), shares=(0.5, 0.5)),
         LABELS + SCORES),
    Case("2 classes, 94 and 95 % right", classified(gains=(2.2, 2.3), shares=(0.5, 0.5)),
         LABELS + SCORES),
    Case("2 classes, 1 in 10", classified(gains=(1.4, 1.7), shares=(0.9, 0.1)), LABELS + SCORES),
    Case("2 classes, B overconfident",
         classified(gains=(1.2, 1.47), shares=(0.5, 0.5), sharp=2.5), ("ece", "log_loss", "brier")),
    Case("numbers", numbers(noise=student, rate=1.1), ("mse", "mae", "r2", "pearson", "spearman")),
    Case("numbers, long tails", numbers(noise=log_normal, rate=1.1), ("mse", "r2")),
    Case("numbers, B far worse", numbers(noise=normal, rate=1.5), ("mse", "mae", "r2")),
    Case("documents", documents(spread=0.7, own=400, rate=1.03), ("perplexity",), E3),
    Case("documents, some very long", documents(spread=1.2, own=400, rate=1.03),
         ("perplexity",), E3),
    Case("documents, very different", documents(spread=1.2, own=25, rate=1.0),
         ("perplexity",), 0.0),
)  # fmt: skip


def coverage(case: Case, n: int, sets: int, first: int) -> dict[str, tuple[float, float]]:
    """Metric -> share of the intervals that hold the truth, and of the sets that have one."""
    metrics = {name: shipped_metrics()[name] for name in case.names}
    truth = true_differences(case)
    held: dict[str, list[bool]] = {name: [] for name in case.names}
    for seed in range(first, first + sets):
        a, b = case.draw(np.random.default_rng(seed), n)
        found = differences(metrics=metrics, a=a, b=b, options={}, seed=seed, tests=False)
        for name, one in found.items():
            if one.low is not None and one.high is not None:
                held[name].append(one.low <= truth[name] <= one.high)
    return {name: (sum(each) / max(1, len(each)), len(each) / sets) for name, each in held.items()}


def true_differences(case: Case) -> dict[str, float]:
    """Those known, and those of a million rows."""
    if case.truth is not None:
        return dict.fromkeys(case.names, case.truth)
    sides = case.draw(np.random.default_rng(0), POPULATION)
    a, b = (
        {
            name: shipped_metrics()[name].compute(
                **{k: rows[k] for k in shipped_metrics()[name].inputs}
            )
            for name in case.names
        }
        for rows in sides
    )
    return {name: b[name] - a[name] for name in case.names}


def main(sets: int, first: int, names: Sequence[str]) -> None:
    print("| rows or documents | metric |", *(f"{n} |" for n in SIZES))
    print("|---|---|" + "---|" * len(SIZES))
    for case in CASES:
        if names:
            case = replace(case, names=tuple(name for name in case.names if name in names))
        if not case.names:
            continue
        found = {n: coverage(case, n, sets, first) for n in SIZES}
        for name in case.names:
            shares = (shown(*found[n][name]) for n in SIZES)
            print(f"| {case.what} | `{name}` |", *shares, flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 500, int(given[1]) if given[1:] else 1, given[2:])
