"""Predictions -> the rows a reader should look at first, each with its text.

What counts as worst depends on what the rows hold; each way of ranking is one object, and the
first that can read the first row is used. One pass, and memory for the kept rows only.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar

from hfcli.render.report.blocks import Excerpts
from hfcli.render.report.history import is_finite, is_number
from hfcli.render.report.text import number, shorten

Row = Mapping[str, Any]
GOLD_AND_CHOSEN = ("gold", "prediction")
KEPT = 20
TEXT_LENGTH = 4_000  # characters of a text in the report
OPEN_LENGTH = 600  # longer texts are closed at first


@dataclass(frozen=True)
class Worst:
    """What was found.

    Args:
        title: of the section; `about` says how the rows were chosen.
        rows: the excerpts, the worst first.
        failed: rows that could not be scored, by their error.
    """

    title: str = ""
    about: str = ""
    rows: list[Excerpts] = field(default_factory=list)
    failed: list[Excerpts] = field(default_factory=list)
    n_failed: int = 0


class Ranking(ABC):
    """A way to say how bad a row is."""

    title: ClassVar[str]
    about: ClassVar[str]

    @abstractmethod
    def reads(self, row: Row) -> bool:
        """Whether rows like this one can be ranked this way."""

    @abstractmethod
    def badness(self, row: Row) -> float | None:
        """Higher is worse; None for a row without a fault."""

    @abstractmethod
    def facts(self, row: Row) -> str:
        """What the row's line says."""


class BitsPerByte(Ranking):
    """Texts without a right answer: what the model found hardest to predict."""

    title = "Hardest documents"
    about = "The documents with the most bits per byte."

    def reads(self, row: Row) -> bool:
        measured = is_finite(row.get("bits_per_byte")) or is_finite(row.get("nll"))
        return row.get("gold") is None and measured

    def badness(self, row: Row) -> float | None:
        if is_finite(row.get("bits_per_byte")):
            return float(row["bits_per_byte"])
        size = len(str(row.get("text") or "").encode("utf-8", "surrogatepass"))
        if not size or not is_finite(row.get("nll")):
            return None
        return float(row["nll"]) / math.log(2) / size

    def facts(self, row: Row) -> str:
        start = shorten(" ".join(str(row.get("text") or "").split()), 70)
        return f"{number(self.badness(row))} bits per byte: {start}"


@dataclass(frozen=True)
class Confident(Ranking):
    """Wrong labels, by how sure the model was of them."""

    title: ClassVar[str] = "Worst errors"
    about: ClassVar[str] = (
        "Wrong rows, those the model was surest about first: by the probability of the label it"
        " chose, or by the loss where a row can have several labels."
    )
    labels: Sequence[str]

    def reads(self, row: Row) -> bool:
        return bool(row.get("probabilities")) and row.get("gold") is not None

    def badness(self, row: Row) -> float | None:
        if _same(row.get("prediction"), row.get("gold")):
            return None
        chosen = self._probability(row, row.get("prediction"))
        return chosen if chosen is not None else float(row.get("nll") or 0.0)

    def facts(self, row: Row) -> str:
        return (
            f"true {self._name(row, row.get('gold'))},"
            f" predicted {self._name(row, row.get('prediction'))}"
        )

    def _name(self, row: Row, label: Any) -> str:
        if isinstance(label, list | tuple):
            return ", ".join(self._name(row, one) for one in label) or "no label"
        probability = self._probability(row, label)
        return str(label) + ("" if probability is None else f" ({probability:.3f})")

    def _probability(self, row: Row, label: Any) -> float | None:
        probabilities = row["probabilities"]
        if isinstance(label, list | tuple | dict):
            return None
        if isinstance(probabilities, Mapping):
            found = probabilities.get(str(label))
        else:
            names = [str(name) for name in self.labels]
            found = probabilities[names.index(str(label))] if str(label) in names else None
        return float(found) if found is not None else None


class Chosen(Ranking):
    """Wrong choices, by how much likelier the model found them than the right one."""

    title = "Worst errors"
    about = (
        "Wrong rows, those first whose choice the model found likelier than the right one by most"
        " (in nats)."
    )

    def reads(self, row: Row) -> bool:
        return bool(row.get("choices")) and isinstance(row.get("nll"), list)

    def badness(self, row: Row) -> float | None:
        if row["prediction"] == row["gold"]:
            return None
        return float(row["nll"][row["gold"]]) - float(row["nll"][row["prediction"]])

    def facts(self, row: Row) -> str:
        right, chosen = (shorten(str(row["choices"][row[name]]), 60) for name in GOLD_AND_CHOSEN)
        return f"true {right!r}, chosen {chosen!r}"


class Distance(Ranking):
    """Numbers, by how far the prediction is off."""

    title = "Worst errors"
    about = "The rows whose prediction is farthest from the true value."

    def reads(self, row: Row) -> bool:
        return is_number(row.get("gold")) and is_number(row.get("prediction"))

    def badness(self, row: Row) -> float | None:
        return abs(float(row["prediction"]) - float(row["gold"])) or None

    def facts(self, row: Row) -> str:
        return f"true {number(row['gold'])}, predicted {number(row['prediction'])}"


class Mismatch(Ranking):
    """Anything else with a right answer: the first rows whose prediction is another."""

    title = "Errors"
    about = "The first rows whose prediction is not the reference."

    def reads(self, row: Row) -> bool:
        return "gold" in row and "prediction" in row

    def badness(self, row: Row) -> float | None:
        gold, given = row["gold"], row["prediction"]
        one_of_several = isinstance(gold, list) and given in gold
        return None if one_of_several or _same(gold, given) else 0.0

    def facts(self, row: Row) -> str:
        return f"predicted {shorten(str(row['prediction']), 60)}"


def worst_rows(predictions: Iterable[Row], labels: Sequence[str]) -> Worst:
    """Up to twenty rows, the worst first, and the first twenty that failed.

    Args:
        predictions: id, text, gold, prediction, probabilities (by name, or in the order of
            `labels`), nll (in nats, of the whole row), bits_per_byte, error (why a row could not
            be scored); each may be absent.
    """
    failed: list[Excerpts] = []
    n_failed = 0

    def scored() -> Iterable[Row]:
        nonlocal n_failed
        for row in predictions:
            if not row.get("error"):
                yield row
                continue
            n_failed += 1
            if len(failed) < KEPT:
                failed.append(_excerpt(row, str(row["error"])))

    rows = iter(scored())
    first = next(rows, None)
    rankings: tuple[Ranking, ...] = (
        BitsPerByte(), Confident(labels), Chosen(), Distance(), Mismatch()
    )  # fmt: skip
    ranking = next((one for one in rankings if first and one.reads(first)), None)
    if first is None or ranking is None:
        for _ in rows:
            pass  # counts the failed ones
        return Worst(failed=failed, n_failed=n_failed)
    ranked = ((ranking.badness(row), -i, row) for i, row in enumerate(chain([first], rows)))
    bad = ((score, i, row) for score, i, row in ranked if score is not None)
    kept = heapq.nlargest(KEPT, bad, key=lambda item: item[:2])
    excerpts = [_excerpt(row, ranking.facts(row)) for _, _, row in kept]
    return Worst(ranking.title, ranking.about, excerpts, failed, n_failed)


def _same(one: Any, other: Any) -> bool:
    """Equal; sets of labels in any order."""
    if isinstance(one, list) and isinstance(other, list):
        return sorted(map(str, one)) == sorted(map(str, other))
    return bool(one == other)


def _excerpt(row: Row, facts: str) -> Excerpts:
    texts = [("text", row.get("text"))]
    if not row.get("probabilities") and not is_number(row.get("prediction")):
        texts += [("prediction", row.get("prediction")), ("reference", row.get("gold"))]
    shown = [(name, _cut(str(text)) or "(empty)") for name, text in texts if text is not None]
    length = sum(len(text) for _, text in shown)
    return Excerpts(
        summary=shorten(f"{facts}; row {row.get('id', 'without an id')}", 300),
        texts=shown or [("text", "not among the predictions")],
        is_open=length <= OPEN_LENGTH,
    )


def _cut(text: str) -> str:
    if len(text) <= TEXT_LENGTH:
        return text
    return f"{text[:TEXT_LENGTH]}\n[{len(text) - TEXT_LENGTH:,} more characters]"
