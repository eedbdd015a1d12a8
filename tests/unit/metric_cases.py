"""Random inputs for every shipped metric, by family."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hfcli.metrics import families, shipped_metrics

Inputs = dict[str, Any]
ROWS = 97
WORDS = ["the", "A", "boat,", "boats", "Harbour", "lies", "still.", "42", "кот", "-", "(an)"]


def random_inputs(name: str, seed: int) -> Inputs:
    """The inputs that a metric reads, drawn at random; even seeds have two classes."""
    metric = shipped_metrics()[name]
    family = next(name for name, family in families().items() if metric in family.METRICS)
    drawn = DRAW[family](random.Random(seed), 2 if seed % 2 == 0 else 5)
    return {key: drawn[key] for key in metric.inputs}


def draw_labels(draw: random.Random, classes: int) -> Inputs:
    references = [i % classes for i in range(ROWS)]
    draw.shuffle(references)
    # The last of several classes is never predicted.
    guesses = [draw.randrange(max(2, classes - 1)) for _ in references]
    predictions = [
        r if r in guesses and draw.random() < 0.6 else g
        for r, g in zip(references, guesses, strict=True)
    ]
    weights = [[draw.random() ** 4 for _ in range(classes)] for _ in references]
    return {
        "predictions": predictions,
        "references": references,
        "probabilities": [[w / sum(row) for w in row] for row in weights],
    }


def draw_sets(draw: random.Random, classes: int) -> Inputs:
    # The first row has no label and gets none.
    def rows() -> list[list[int]]:
        drawn = [[int(draw.random() < 0.4) for _ in range(classes)] for _ in range(ROWS - 1)]
        return [[0] * classes, *drawn]

    probabilities = [[draw.random() for _ in range(classes)] for _ in range(ROWS)]
    return {"predictions": rows(), "references": rows(), "probabilities": probabilities}


def draw_numbers(draw: random.Random, classes: int) -> Inputs:
    references = [draw.gauss(3, 2) for _ in range(ROWS)]
    # Rounded, so that ranks are tied.
    return {
        "references": references,
        "predictions": [round(r + draw.gauss(0, 1)) for r in references],
    }


def draw_documents(draw: random.Random, classes: int) -> Inputs:
    counts = {key: [draw.randrange(1, 50) for _ in range(ROWS)] for key in ("t", "w", "b")}
    nll = [draw.random() * 3 * n for n in counts["t"]]
    return {"nll": nll, "n_tokens": counts["t"], "n_words": counts["w"], "n_bytes": counts["b"]}


def draw_choices(draw: random.Random, classes: int) -> Inputs:
    sizes = [[draw.randrange(1, 30) for _ in range(draw.randrange(2, 6))] for _ in range(ROWS)]
    return {
        "nll": [[draw.random() * size for size in row] for row in sizes],
        "n_bytes": sizes,
        "references": [draw.randrange(len(row)) for row in sizes],
    }


def draw_texts(draw: random.Random, classes: int) -> Inputs:
    def text() -> str:
        return " ".join(draw.choice(WORDS) for _ in range(draw.randrange(0, 9)))

    references = [[text() for _ in range(draw.randrange(1, classes))] for _ in range(ROWS)]
    predictions = [r[-1] if draw.random() < 0.3 else text() for r in references]
    return {"predictions": predictions, "references": references}


DRAW: dict[str, Callable[[random.Random, int], Inputs]] = {
    "classification": draw_labels,
    "probabilistic": draw_labels,
    "calibration": draw_labels,
    "multilabel": draw_sets,
    "regression": draw_numbers,
    "language_modeling": draw_documents,
    "multiple_choice": draw_choices,
    "text": draw_texts,
}


def perfect(x: Inputs) -> Inputs:
    """The inputs with the references in place of what the model said."""
    references = x.get("references", [])
    if "nll" in x and references:
        rows = zip(x["nll"], references, strict=True)
        return {**x, "nll": [[float(i != r) for i in range(len(row))] for row, r in rows]}
    if "nll" in x:
        return {**x, "nll": [value / 2 for value in x["nll"]]}
    if "probabilities" in x:
        certain = [
            r if isinstance(r, list) else [float(i == r) for i in range(len(row))]
            for row, r in zip(x["probabilities"], references, strict=True)
        ]
        return {**x, "probabilities": certain}
    texts = isinstance(references[0], list) and isinstance(references[0][0], str)
    return {**x, "predictions": [r[0] if texts else r for r in references]}
