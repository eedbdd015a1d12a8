"""The counts that sacrebleu (2.4 to 2.6) adds up over rows to a corpus score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from hfcli.statistics.weights import Array


def weighted_score(
    scorer: Any, texts: Sequence[str], references: Sequence[Sequence[str | None]]
) -> Callable[[Array], list[float]]:
    """Return a function of row weights: the corpus score where each row stands so many times.

    The counts of each row are extracted once. Where this version has no such method, the texts
    are scored anew for each set of weights.

    Args:
        scorer: sacrebleu's BLEU or CHRF.
        texts: (rows).
        references: (references a row, rows); None where a row has fewer.

    Returns:
        (sets, rows) whole weights -> (sets) scores, 0 to 100.
    """
    extract = getattr(scorer, "_extract_corpus_statistics", None)
    score = getattr(scorer, "_compute_score_from_stats", None)
    if extract is None or score is None:
        return lambda weights: [_repeated(scorer, texts, references, row) for row in weights]
    import numpy as np

    counts = np.asarray(extract(list(texts), references), dtype=float)

    def from_counts(weights: Array) -> list[float]:
        sums = np.rint(weights @ counts).astype(int).tolist()
        return [float(score(row).score) for row in sums]

    return from_counts


def _repeated(
    scorer: Any,
    texts: Sequence[str],
    references: Sequence[Sequence[str | None]],
    weights: np.ndarray[Any, Any],
) -> float:
    rows = [i for i, times in enumerate(weights) for _ in range(round(times))]
    columns = [[column[i] for i in rows] for column in references]
    return float(scorer.corpus_score([texts[i] for i in rows], columns).score)
