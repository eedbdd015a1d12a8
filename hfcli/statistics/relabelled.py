"""Losses of few rows of which hardly one is wrong: labels are drawn anew, too.

Two wrong rows say little of how large the loss of a wrong row can be, and draws of the rows as they
are cannot be worse than those. But the probabilities say which rows could have been wrong, once it
is known how far they can be believed. So labels are drawn by the probabilities at some temperature
(Guo et al. 2017), and that is drawn by how well it explains the labels there are. Only how far such
sets are from their truth, in standard errors, is taken from there; value and standard error are
those of the rows.
"""

from __future__ import annotations

from hfcli.statistics.proportions import CONFIDENCE
from hfcli.statistics.spread import defined_draws
from hfcli.statistics.studentised import LEAST_ERROR, Studentised
from hfcli.statistics.weights import Array, blocks

LOG_TEMPERATURES = (-2.0, 2.0, 21)  # from a seventh to seven, all as likely beforehand


def interval_by_labels(
    form: Studentised, probabilities: Array, references: Array, seed: int, draws: int
) -> tuple[float, float] | None:
    """The ends of a symmetric interval; None where the rows have no standard error.

    Args:
        form: the metric as a function of the weight of every label of every row, (rows x labels).
        probabilities: (rows, labels).
        references: index of the label of each row.
        seed: of the draws.
        draws: sets that are drawn.
    """
    import numpy as np

    rows, labels = probabilities.shape
    value, error = form.estimate(np.eye(labels)[references].reshape(1, -1))[0].tolist()
    if not error > LEAST_ERROR:
        return None
    worlds, belief = _worlds(probabilities, references)
    truths = form.estimate(worlds.reshape(len(worlds), -1))[:, 0]
    limits = worlds.cumsum(axis=2)[:, :, :-1]
    random = np.random.default_rng(seed)
    distances = []
    for size in blocks(rows * labels, draws):
        world = random.choice(len(worlds), size, p=belief)
        drawn = _drawn(random, limits, world, rows, labels)
        with np.errstate(divide="ignore", invalid="ignore"):
            estimates = form.estimate(drawn)
            distances.append(np.abs(estimates[:, 0] - truths[world]) / estimates[:, 1])
    defined = defined_draws(np.concatenate(distances))
    if defined is None:
        return None
    half = float(np.quantile(defined, CONFIDENCE)) * error
    low, high = sorted((form.back(value - half), form.back(value + half)))
    return low, high


def _worlds(probabilities: Array, references: Array) -> tuple[Array, Array]:
    """Probabilities at each temperature (t, rows, labels), and how likely that one is (t,)."""
    import numpy as np
    from scipy.special import log_softmax, softmax

    logs = np.log(np.maximum(probabilities, np.finfo(float).eps))
    inverse = np.exp(np.linspace(*LOG_TEMPERATURES))
    tables = log_softmax(inverse[:, None, None] * logs, axis=2)
    explained = tables[:, np.arange(len(logs)), references].sum(axis=1)
    return np.exp(tables), softmax(explained)


def _drawn(random: Array, limits: Array, world: Array, rows: int, labels: int) -> Array:
    """How often each label of each row is in each draw, (draws, rows x labels)."""
    import numpy as np

    chosen = random.integers(0, rows, (len(world), rows))
    where = random.random((len(world), rows, 1)) > limits[world[:, None], chosen]
    atoms = chosen * labels + where.sum(axis=2)
    atoms += np.arange(len(world))[:, None] * (rows * labels)
    counted = np.bincount(atoms.ravel(), minlength=len(world) * rows * labels)
    return counted.reshape(len(world), -1).astype(float)
