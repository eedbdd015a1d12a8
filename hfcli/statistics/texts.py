"""Metrics of generated texts under row weights.

BLEU and chrF are no means of rows, but functions of counts that are added up over rows; sacrebleu
extracts them once, "for faster re-computations esp. during statistical tests", as it says.
"""

from __future__ import annotations

from typing import Any

from hfcli.compat.sacrebleu import weighted_score
from hfcli.metrics.base import Metric
from hfcli.statistics.weights import Array, Inputs, Statistic


def one_by_one(metric: Metric, inputs: Inputs) -> Array:
    """The metric of each row by itself; 0 where a row by itself has none."""
    import numpy as np

    columns = {name: inputs[name] for name in metric.inputs}
    n = len(next(iter(columns.values())))
    rows = (
        metric.compute(**{name: [values[i]] for name, values in columns.items()}) for i in range(n)
    )
    return np.nan_to_num(np.fromiter(rows, float, n))


def bleu(inputs: Inputs) -> Statistic:
    from sacrebleu.metrics.bleu import BLEU

    return _by_counts(BLEU(force=True), inputs)


def chrf(inputs: Inputs) -> Statistic:
    from sacrebleu.metrics.chrf import CHRF

    return _by_counts(CHRF(), inputs)


def _by_counts(scorer: Any, inputs: Inputs) -> Statistic:
    import numpy as np

    rows = [[r] if isinstance(r, str) else list(r) for r in inputs["references"]]
    most = max(map(len, rows))
    columns = [[row[i] if i < len(row) else None for row in rows] for i in range(most)]
    scores = weighted_score(scorer, list(inputs["predictions"]), columns)
    return lambda weights: np.array(scores(weights))
