"""How often do 95 % intervals hold the truth?

Run it with: python benchmarks/coverage.py [SETS [FIRST_SEED [METRIC...]]]

Sets of rows are drawn from populations in which every metric is known: in closed form, or from a
million rows. Prints the table of docs/evaluation.md, of all metrics or of those named; takes
half an hour for 2,000 sets.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np  # noqa: TID253

from hfcli.evaluation.measure import score_intervals
from hfcli.metrics import shipped_metrics

SIZES = (50, 100, 300, 1000)
FEW = (10, 20, 50, 200)
POPULATION = 1_000_000
Rows = dict[str, list[Any]]
Draw = Callable[[np.random.Generator, int], Rows]


def classified(*, gain: float, shares: Sequence[float], sharp: float = 1.0) -> Draw:
    """Classes with these shares, logits with noise of 1 and `gain` for the true class.

    Args:
        sharp: factor on the logits; 1: the probabilities are true.
    """

    def draw(random: np.random.Generator, n: int) -> Rows:
        classes = len(shares)
        truth = random.choice(classes, n, p=shares)
        seen = random.normal(0, 1, (n, classes)) + gain * np.eye(classes)[truth]
        logits = sharp * (gain * seen + np.log(shares))
        table = np.exp(logits - logits.max(axis=1, keepdims=True))
        table /= table.sum(axis=1, keepdims=True)
        return {
            "references": truth.tolist(),
            "predictions": table.argmax(axis=1).tolist(),
            "probabilities": table.tolist(),
        }

    return draw


def documents(spread: float) -> Draw:
    """Documents of log-normal length, whose log-likelihood a token differs by a fifth."""

    def draw(random: np.random.Generator, n: int) -> Rows:
        tokens = np.ceil(random.lognormal(5, spread, n)).astype(int)
        return {"nll": (tokens * random.gamma(25, 0.12, n)).tolist(), "n_tokens": tokens.tolist()}

    return draw


def one_document(alike: float) -> Draw:
    """One document of so many windows of 512 tokens, each like the one before it.

    Args:
        alike: correlation of the log-likelihoods of neighbours.
    """

    def draw(random: np.random.Generator, n: int) -> Rows:
        noise = random.normal(0, 1, n)
        for i in range(1, n):
            noise[i] = alike * noise[i - 1] + (1 - alike**2) ** 0.5 * noise[i]
        nll = 512 * (3 + 0.3 * noise)
        parts = [[value, 512, 2000, 400] for value in nll.tolist()]
        return {"nll": [float(nll.sum())], "n_tokens": [512 * n], "parts": [parts]}

    return draw


def numbers(random: np.random.Generator, n: int) -> Rows:
    """Predictions with errors that are large for some rows."""
    truth = random.normal(0, 2, n)
    return {"references": truth.tolist(), "predictions": (truth + random.standard_t(5, n)).tolist()}


def wild_numbers(random: np.random.Generator, n: int) -> Rows:
    """Predictions that hardly follow the truth, both with long tails."""
    truth = random.standard_t(5, n)
    errors = random.lognormal(0, 1, n) * random.choice([-1, 1], n)
    return {"references": truth.tolist(), "predictions": (0.5 * truth + errors).tolist()}


@dataclass(frozen=True)
class Case:
    """Where rows come from.

    Args:
        what: for the table.
        draw: a set of n rows.
        names: of the metrics.
        sizes: of the sets.
        truth: metrics that are known in closed form.
    """

    what: str
    draw: Draw
    names: tuple[str, ...]
    sizes: tuple[int, ...] = SIZES
    truth: dict[str, float] = field(default_factory=dict)


LABELS = ("accuracy", "f1_macro", "balanced_accuracy", "matthews_correlation")
SCORES = ("auroc", "average_precision", "log_loss", "brier", "ece")
NUMBERS = ("mse", "mae", "r2", "pearson", "spearman")
E3 = {"perplexity": float(np.exp(3))}
CASES = (
    Case(
        "4 classes, 65 % right", classified(gain=1.4, shares=(0.4, 0.3, 0.2, 0.1)), LABELS + SCORES
    ),
    Case("2 classes, 95 % right", classified(gain=2.3, shares=(0.5, 0.5)), LABELS + SCORES),
    Case("2 classes, 1 in 10", classified(gain=1.5, shares=(0.9, 0.1)), LABELS + SCORES),
    Case("2 classes, overconfident", classified(gain=1.4, shares=(0.5, 0.5), sharp=2.0), ("ece",)),
    Case("2 classes, a little so", classified(gain=1.4, shares=(0.5, 0.5), sharp=1.3), ("ece",)),
    Case("2 classes, underconfident", classified(gain=1.4, shares=(0.5, 0.5), sharp=0.5), ("ece",)),
    Case("numbers", numbers, NUMBERS, truth={"mse": 5 / 3}),
    Case("numbers, long tails", wild_numbers, NUMBERS),
    Case("documents", documents(0.7), ("perplexity",), FEW, E3),
    Case("documents, some very long", documents(1.2), ("perplexity",), FEW, E3),
    Case("windows of one document", one_document(0.2), ("perplexity",), FEW, E3),
    Case("windows that are much alike", one_document(0.5), ("perplexity",), FEW, E3),
)


def coverage(case: Case, n: int, sets: int, first: int) -> dict[str, tuple[float, float]]:
    """Metric -> share of the intervals that hold the truth, and of the sets that have one."""
    truth = case.truth if set(case.names) <= case.truth.keys() else true_values(case)
    held: dict[str, list[bool]] = {name: [] for name in case.names}
    for seed in range(first, first + sets):
        rows = case.draw(np.random.default_rng(seed), n)
        found = score_intervals(names=case.names, inputs=rows, options={}, seed=seed)
        for name in case.names:
            low, high = found[name]["low"], found[name]["high"]
            if low is not None:
                held[name].append(low <= truth[name] <= high)
    return {name: (sum(each) / max(1, len(each)), len(each) / sets) for name, each in held.items()}


def true_values(case: Case) -> dict[str, float]:
    """Those known, and those of a million rows."""
    population = case.draw(np.random.default_rng(0), POPULATION)
    metrics = {name: shipped_metrics()[name] for name in case.names if name not in case.truth}
    return case.truth | {
        name: metric.compute(**{k: population[k] for k in metric.inputs})
        for name, metric in metrics.items()
    }


def shown(share: float, with_interval: float) -> str:
    few = "" if with_interval > 0.99 else f" ({100 * with_interval:.0f})"
    return f"{100 * share:.1f}{few} |" if with_interval else "– |"  # noqa: RUF001


def main(sets: int, first: int, names: Sequence[str]) -> None:
    sizes: tuple[int, ...] = ()
    for case in CASES:
        if names:
            case = replace(case, names=tuple(name for name in case.names if name in names))
        if not case.names:
            continue
        if case.sizes != sizes:
            sizes = case.sizes
            print("\n| rows | metric |", *(f"{n} |" for n in sizes))
            print("|---|---|" + "---|" * len(sizes))
        found = {n: coverage(case, n, sets, first) for n in sizes}
        for name in case.names:
            shares = (shown(*found[n][name]) for n in sizes)
            print(f"| {case.what} | `{name}` |", *shares, flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 500, int(given[1]) if given[1:] else 1, given[2:])
