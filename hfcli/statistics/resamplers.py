"""A metric -> the metric as a function of row weights.

Known metrics have a fast form here, which is used only where it gives the metric's own value on
the rows as they are; any other metric is computed again on repeated rows.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from hfcli.metrics.base import Metric
from hfcli.statistics import calibration, labels, ranks, studentised, sums, texts
from hfcli.statistics.confusions import label_interval
from hfcli.statistics.means import MEANS, brier, worst_brier
from hfcli.statistics.studentised import Studentised
from hfcli.statistics.weights import Array, Inputs, Options, Statistic


def value_of(metric: Metric, inputs: Inputs, options: Options) -> Any:
    """The metric on the rows as they are."""
    return metric.compute(
        **{name: inputs[name] for name in metric.inputs},
        **{name: options[name] for name in metric.options if name in options},
    )


def row_values(metric: Metric, inputs: Inputs, value: float) -> Array | None:
    """The value of each row, where the metric is their mean; else None."""
    rows = MEANS.get(metric.name)
    if rows is None:
        return None
    found = rows(metric, inputs)
    return found if same(float(found.mean()), value) else None


def right_by(metrics: Mapping[str, Metric]) -> str | None:
    """The first metric that says of every row whether it is right."""
    return next((name for name, metric in metrics.items() if metric.name in PROPORTIONS), None)


def right_rows(metric: Metric, inputs: Inputs) -> list[bool]:
    """Whether each row is right, by a metric that `right_by` found."""
    return [value == 1 for value in MEANS[metric.name](metric, inputs).tolist()]


def weighted(metric: Metric, inputs: Inputs, value: float, counts: Array) -> Statistic | None:
    """The fast form of the metric, or None.

    Args:
        metric: any.
        inputs: of the units.
        value: what the metric gives for all rows.
        counts: rows of each unit.
    """
    statistic = fast_form(metric, inputs)
    if statistic is None or not same(float(statistic(counts[None])[0]), value):
        return None
    return statistic


def fast_form(metric: Metric, inputs: Inputs) -> Statistic | None:
    """What this module knows by the metric's name; see `weighted`."""
    if metric.name in MEANS:
        return sums.mean_of(MEANS[metric.name](metric, inputs))
    build = BUILDERS.get(metric.name)
    return None if build is None else build(inputs)


def studentised_form(metric: Metric, inputs: Inputs) -> Studentised | None:
    """The metric on a scale where it has a standard error, or None."""
    name = metric.name
    if name in OF_LOSSES:
        return studentised.mean(MEANS[name](metric, inputs))
    if name in OF_ERRORS:
        return studentised.mean_with_tail(MEANS[name](metric, inputs))
    if name in OF_SHARES:
        return studentised.mean_of_shares(MEANS[name](metric, inputs))
    if name == "brier":
        return studentised.mean_of_shares(brier(metric, inputs), worst_brier(inputs))
    if name in OF_DOCUMENTS:
        below, back = OF_DOCUMENTS[name]
        return studentised.ratio(inputs["nll"], inputs[below], back)
    build = STUDENTISED.get(name)
    return None if build is None else build(inputs)


def repeated(metric: Metric, inputs: Inputs, options: Options) -> Statistic:
    """Any metric: computed on rows that stand as often as their weight says."""
    import numpy as np

    columns = {name: inputs[name] for name in metric.inputs}

    def one(weights: Array) -> float:
        rows = np.repeat(np.arange(len(weights)), weights.astype(int)).tolist()
        drawn = {name: [values[i] for i in rows] for name, values in columns.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is not defined on some draw
            return float(value_of(metric, drawn, options))

    return lambda weights: np.array([one(row) for row in weights])


def same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


# Those whose rows are right or wrong.
PROPORTIONS = frozenset(
    [
        "accuracy",
        "recall_weighted",
        "subset_accuracy",
        "acc",
        "acc_norm",
        "exact_match",
        "exact_match_squad",
    ]
)
# Metrics that read predictions and references as labels: equal rows are drawn together.
OF_LABELS = frozenset(labels.FORMULAS)
BOTH = ("predictions", "references")
# Ratios of label sets: what the hits are divided by.
SET_RATIOS = {"f1": BOTH, "precision": BOTH[:1], "recall": BOTH[1:]}
# Their draws are skewed, and BCa covers better than percentiles; for others it covers worse
# (benchmarks/coverage.py).
SKEWED = OF_LABELS | {
    f"multilabel_{kind}_{average}" for kind in SET_RATIOS for average in ("micro", "macro")
}
# Areas under curves -> degrees of freedom: by the rarer side, on which their errors depend.
AREAS: dict[str, Callable[[Inputs], int]] = {
    "auroc": ranks.rarest_class,
    "average_precision": ranks.rarest_class,
    "multilabel_auroc_macro": ranks.rarest_label,
    "multilabel_average_precision_macro": ranks.rarest_label,
}
# Metrics with an interval in closed form, from the inputs and the value; and its name.
CLOSED: dict[str, tuple[Callable[[Inputs, float], tuple[float, float] | None], str]] = {
    "ece": (calibration.ece_interval, "debiased, delta method"),
    **{
        name: (
            functools.partial(label_interval, formula=formula, least=labels.LEAST.get(name, 0.0)),
            "delta method, Student's t",
        )
        for name, formula in labels.FORMULAS.items()
    },
}
# Ratios of sums over documents -> what the sum of nll is divided by, and from there the metric.
OF_DOCUMENTS: dict[str, tuple[str, Callable[[float], float]]] = {
    "token_loss": ("n_tokens", studentised.same),
    "perplexity": ("n_tokens", studentised.exp),
    "word_perplexity": ("n_words", studentised.exp),
    "bits_per_byte": ("n_bytes", studentised.per_bit),
}
# Means over rows of values that are not negative; of those that may be of any size; and of those
# from 0 to 1.
OF_LOSSES = frozenset(["log_loss", "row_loss"])
OF_ERRORS = frozenset(["mse", "mae"])
OF_SHARES = frozenset(
    ["hamming_loss", "multilabel_f1_samples", "token_f1", "rouge1", "rouge2", "rougeL"]
)
# Others with a standard error -> their form.
STUDENTISED: dict[str, Callable[[Inputs], Studentised]] = {
    "rmse": lambda inputs: studentised.root_of_mean_with_tail(sums.squares(inputs)),
    "r2": studentised.r2,
    "pearson": studentised.pearson,
}
# Other metrics -> their form by weights.
BUILDERS: dict[str, Callable[[Inputs], Statistic]] = {
    **{
        name: functools.partial(labels.label_statistic, formula=formula)
        for name, formula in labels.FORMULAS.items()
    },
    **{
        f"multilabel_{name}_{average}": sums.set_ratio(kinds, macro=average == "macro")
        for name, kinds in SET_RATIOS.items()
        for average in ("macro", "micro")
    },
    "auroc": ranks.one_against_rest(ranks.auroc),
    "average_precision": ranks.one_against_rest(ranks.average_precision),
    "multilabel_auroc_macro": ranks.over_labels(ranks.auroc),
    "multilabel_average_precision_macro": ranks.over_labels(ranks.average_precision),
    "ece": calibration.ece,
    "rmse": sums.rmse,
    "r2": sums.r2,
    "pearson": sums.pearson,
    "spearman": ranks.spearman,
    "token_loss": sums.ratio("nll", "n_tokens", sums.same),
    "perplexity": sums.ratio("nll", "n_tokens", sums.exp),
    "word_perplexity": sums.ratio("nll", "n_words", sums.exp),
    "bits_per_byte": sums.ratio("nll", "n_bytes", sums.per_bit),
    "bleu": texts.bleu,
    "chrf": texts.chrf,
}
# Metrics that are above their best value, 0, by chance -> up to where; from inputs and a seed.
BY_CHANCE: dict[str, Callable[[Inputs, int], float]] = {"ece": calibration.ece_by_chance}
