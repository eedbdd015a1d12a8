"""How often do 95 % intervals hold the truth? Run it with: python benchmarks/coverage.py [SETS]

Sets of rows are drawn from populations in which every metric is known: in closed form, or from a
million rows. Prints the table of docs/evaluation.md; takes minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np  # noqa: TID253

from hfcli.metrics import shipped_metrics
from hfcli.statistics.intervals import intervals

SIZES = (50, 100, 300, 1000)
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


def numbers(random: np.random.Generator, n: int) -> Rows:
    """Predictions with errors that are large for some rows."""
    truth = random.normal(0, 2, n)
    return {"references": truth.tolist(), "predictions": (truth + random.standard_t(5, n)).tolist()}


LABELS = ("accuracy", "f1_macro", "balanced_accuracy", "matthews_correlation")
SCORES = ("auroc", "average_precision", "log_loss", "brier", "ece")
CASES: tuple[tuple[str, Draw, tuple[str, ...]], ...] = (
    ("4 classes, 65 % right", classified(gain=1.4, shares=(0.4, 0.3, 0.2, 0.1)), LABELS + SCORES),
    ("2 classes, 95 % right", classified(gain=2.3, shares=(0.5, 0.5)), LABELS + SCORES),
    ("2 classes, 1 in 10", classified(gain=1.5, shares=(0.9, 0.1)), LABELS + SCORES),
    ("2 classes, overconfident", classified(gain=1.4, shares=(0.5, 0.5), sharp=2.0), ("ece",)),
    ("documents", documents(0.7), ("perplexity",)),
    ("documents, some very long", documents(1.2), ("perplexity",)),
    ("numbers", numbers, ("mse", "mae", "r2", "pearson", "spearman")),
)


def coverage(draw: Draw, names: Sequence[str], n: int, sets: int) -> dict[str, float]:
    """Metric -> share of the intervals that hold the truth; some sets have none."""
    metrics = {name: shipped_metrics()[name] for name in names}
    population = draw(np.random.default_rng(0), POPULATION)
    truth = {
        name: metric.compute(**{k: population[k] for k in metric.inputs})
        for name, metric in metrics.items()
    }
    held: dict[str, list[bool]] = {name: [] for name in names}
    for seed in range(1, sets + 1):
        rows = draw(np.random.default_rng(seed), n)
        for name, found in intervals(metrics=metrics, inputs=rows, options={}, seed=seed).items():
            if found.low is not None and found.high is not None:
                held[name].append(found.low <= truth[name] <= found.high)
    return {name: sum(each) / len(each) for name, each in held.items()}


def main(sets: int) -> None:
    print("| rows | metric |", *(f"{n} |" for n in SIZES))
    print("|---|---|" + "---|" * len(SIZES))
    for what, draw, names in CASES:
        found = {n: coverage(draw, names, n, sets) for n in SIZES}
        for name in names:
            shares = (f"{100 * found[n][name]:.1f} |" for n in SIZES)
            print(f"| {what} | `{name}` |", *shares, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
