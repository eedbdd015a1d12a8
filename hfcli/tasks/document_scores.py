"""What windows of text scored -> what each document did. Knows nothing about models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hfcli.tasks.base import Scores
from hfcli.tasks.prepared import Prepared
from hfcli.tasks.scored_text import Part, parts_of

FEW_DOCUMENTS = 10  # of fewer, predictions hold parts: there are too few documents to resample


def scores(prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Scores:
    """Sums of each document's windows.

    Args:
        prepared: the windows.
        reduced: of each, the sum of the losses in nats, and of how many tokens.
    """
    n_documents = prepared.counts.kept
    inputs: dict[str, list[Any]] = {
        "nll": [0.0] * n_documents,
        **{name: [0] * n_documents for name in ("n_tokens", "n_bytes", "n_words")},
    }
    columns = (prepared.column(name) for name in ("document", "n_bytes", "n_words"))
    for (nll, n_tokens), document, n_bytes, n_words in zip(reduced, *columns, strict=True):
        inputs["nll"][document] += nll
        inputs["n_tokens"][document] += int(n_tokens)
        inputs["n_bytes"][document] += n_bytes
        inputs["n_words"][document] += n_words
    return Scores(loss=sum(inputs["nll"]) / sum(inputs["n_tokens"]), inputs=inputs)


def outcomes(prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Iterator[dict[str, Any]]:
    """What is kept of each document, and, where there are few, of its parts; see `scores`."""
    origins: list[str] = []
    windows: list[list[Part]] = []
    names = ("document", "origin", "n_bytes", "n_words")
    columns = (prepared.column(name) for name in names)
    for row, document, origin, *counts in zip(reduced, *columns, strict=True):
        if document == len(origins):
            origins.append(origin)
            windows.append([])
        windows[document].append([*row, *counts])
    inputs = scores(prepared, reduced).inputs
    if len(origins) < FEW_DOCUMENTS:
        inputs["parts"] = [parts_of(each) for each in windows]
    for origin, *values in zip(origins, *inputs.values(), strict=True):
        yield {"origin": origin, **dict(zip(inputs, values, strict=True))}
