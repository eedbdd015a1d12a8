"""Metrics of generated texts against reference texts.

A row's reference is a text, or a list of texts any of which is right. Each metric is nan without
rows, and where a row has no reference. sacrebleu and rouge-score are the optional extra
`hfcli[text-metrics]`. Knows nothing about models.
"""

from __future__ import annotations

import functools
import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hfcli.compat.sacrebleu import weighted_score
from hfcli.metrics.base import Metric, mean, require
from hfcli.statistics import studentised
from hfcli.statistics.form import Form, mean_form, one_by_one, proportion
from hfcli.statistics.weights import Inputs, Statistic

INPUTS: dict[str, type] = {"predictions": str, "references": list[str]}
ARTICLES = re.compile(r"\b(a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
References = Sequence[str | Sequence[str]]


def exact_match(predictions: Sequence[str], references: References) -> float:
    """Share of predictions that equal a reference, white space at the ends aside, in [0, 1]."""
    return _best(lambda text, right: float(text.strip() == right.strip()), predictions, references)


def exact_match_squad(predictions: Sequence[str], references: References) -> float:
    """Share of predictions that equal a reference after `squad_words`, in [0, 1]."""
    return _best(
        lambda text, right: float(squad_words(text) == squad_words(right)), predictions, references
    )


def token_f1(predictions: Sequence[str], references: References) -> float:
    """Mean over rows of the best F1 of the words of `squad_words`, in [0, 1].

    As in the SQuAD 2.0 evaluation script (Rajpurkar et al. 2018): 1 where both texts have no
    words, 0 where one has none.
    """
    return _best(_token_f1, predictions, references)


def squad_words(text: str) -> list[str]:
    """Words in lower case, without ASCII punctuation and English articles.

    The normalisation of the SQuAD evaluation script (Rajpurkar et al. 2016).
    """
    return ARTICLES.sub(" ", text.lower().translate(NO_PUNCTUATION)).split()


def bleu(predictions: Sequence[str], references: References) -> float:
    """Corpus BLEU (Papineni et al. 2002) as sacrebleu computes it by default, in [0, 100].

    13a tokens, up to four of them, exponential smoothing, case kept. All rows are counted
    together; it is not a mean over rows.

    Raises:
        RunError: sacrebleu is not installed.
    """
    require("sacrebleu")
    from sacrebleu.metrics.bleu import BLEU

    columns = _columns(references)
    # force: no advice about tokenized input in the log; the number is the same.
    return BLEU(force=True).corpus_score(predictions, columns).score if columns else math.nan


def chrf(predictions: Sequence[str], references: References) -> float:
    """Corpus chrF2 (Popovic 2015) as sacrebleu computes it by default, in [0, 100].

    Up to six characters, white space left out, recall counted twice.

    Raises:
        RunError: sacrebleu is not installed.
    """
    require("sacrebleu")
    from sacrebleu.metrics.chrf import CHRF

    columns = _columns(references)
    return CHRF().corpus_score(predictions, columns).score if columns else math.nan


def rouge(predictions: Sequence[str], references: References, *, kind: str) -> float:
    """Mean over rows of ROUGE's best F-measure (Lin 2004) by rouge-score, in [0, 1].

    Words are runs of a-z and 0-9 in lower case, not stemmed. nan where no reference has such a
    word, as in a text of another script.

    Raises:
        RunError: rouge-score is not installed.
    """
    require("rouge_score")
    from rouge_score.rouge_scorer import RougeScorer

    rows = [_as_list(reference) for reference in references]
    if not any(re.search("[a-z0-9]", text.lower()) for row in rows for text in row):
        return math.nan
    scorer = RougeScorer([kind])
    return _best(
        lambda text, right: float(scorer.score(right, text)[kind].fmeasure), predictions, rows
    )


def _best(
    score: Callable[[str, str], float], predictions: Sequence[str], references: References
) -> float:
    """Mean over rows of the best score(prediction, one of the references)."""
    rows = zip(predictions, references, strict=True)
    return mean(
        [max((score(p, right) for right in _as_list(r)), default=math.nan) for p, r in rows]
    )


def _token_f1(text: str, right: str) -> float:
    found, true = squad_words(text), squad_words(right)
    if not found or not true:
        return float(found == true)
    same = sum((Counter(found) & Counter(true)).values())
    return 2 * same / (len(found) + len(true))


def _columns(references: References) -> list[list[Any]]:
    """First references of all rows, second ones, ..., None where a row has fewer.

    That is what sacrebleu takes. Nothing where a row has none at all.
    """
    rows = [_as_list(reference) for reference in references]
    if not all(rows):
        return []
    most = max((len(row) for row in rows), default=0)
    return [[row[i] if i < len(row) else None for row in rows] for i in range(most)]


def _as_list(reference: str | Sequence[str]) -> list[str]:
    return [reference] if isinstance(reference, str) else list(reference)


def _weighted_bleu(inputs: Inputs) -> Statistic:
    from sacrebleu.metrics.bleu import BLEU

    return _by_counts(BLEU(force=True), inputs)


def _weighted_chrf(inputs: Inputs) -> Statistic:
    from sacrebleu.metrics.chrf import CHRF

    return _by_counts(CHRF(), inputs)


def _by_counts(scorer: Any, inputs: Inputs) -> Statistic:
    """Return BLEU or chrF under row weights: a function of counts that are added up over rows.

    sacrebleu extracts them once, "for faster re-computations esp. during statistical tests".
    """
    import numpy as np

    columns = _columns(inputs["references"])
    scores = weighted_score(scorer, list(inputs["predictions"]), columns)
    return lambda weights: np.array(scores(weights))


def _mean_of_shares(compute: Callable[..., float]) -> Form:
    return mean_form(one_by_one(compute, INPUTS), studentised.mean_of_shares)


def _rouge(kind: str, what: str) -> Metric:
    compute = functools.partial(rouge, kind=kind)
    return Metric(
        name=kind,
        compute=compute,
        inputs=INPUTS,
        higher_is_better=True,
        description=f"Mean F-measure of {what}, 0 to 1 (Lin 2004, rouge-score without stemming).",
        form=_mean_of_shares(compute),
        package="rouge_score",
    )


METRICS = (
    Metric(
        "exact_match",
        exact_match,
        INPUTS,
        True,
        "Share of texts that equal a reference, white space at the ends aside.",
        proportion(one_by_one(exact_match, INPUTS)),
    ),
    Metric(
        "exact_match_squad",
        exact_match_squad,
        INPUTS,
        True,
        "The same without case, punctuation and English articles (SQuAD's exact match).",
        proportion(one_by_one(exact_match_squad, INPUTS)),
    ),
    Metric(
        "token_f1",
        token_f1,
        INPUTS,
        True,
        "Mean F1 of the words (SQuAD 2.0's F1, 0 to 1).",
        _mean_of_shares(token_f1),
    ),
    Metric(
        "bleu",
        bleu,
        INPUTS,
        True,
        "Corpus BLEU, 0 to 100 (sacrebleu's default).",
        Form(weighted=_weighted_bleu),
        package="sacrebleu",
    ),
    Metric(
        "chrf",
        chrf,
        INPUTS,
        True,
        "Corpus chrF2, 0 to 100 (sacrebleu's default).",
        Form(weighted=_weighted_chrf),
        package="sacrebleu",
    ),
    _rouge("rouge1", "words"),
    _rouge("rouge2", "pairs of words"),
    _rouge("rougeL", "the longest common subsequence of words"),
)
