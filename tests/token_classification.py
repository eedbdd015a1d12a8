"""A task of another package, as docs/extending.md describes it: one tag a word.

tests/e2e/test_extending.py registers it by entry points, trains, scores and reports with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hfcli.metrics.base import Metric
from hfcli.tasks.base import (
    IGNORE,
    Feature,
    Prepared,
    Reduced,
    Scores,
    Task,
    Tools,
    context_length,
    origin_of,
    pad_right,
)

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Tags = list[str]
Entity = tuple[str, int, int]  # type, first word, last word
INPUTS: dict[str, type] = {"predictions": list[str], "references": list[str]}


class TokenClassification(Task):
    """Tags of the words of a text, such as the names in it (BIO)."""

    name: Literal["token-classification"] = "token-classification"
    text_column: str = "words"
    tags_column: str = "tags"

    head_suffixes: ClassVar[tuple[str, ...]] = ("ForTokenClassification",)

    # Columns
    def columns(self) -> tuple[str, ...]:
        return self.text_column, self.tags_column

    def check_row(self, row: dict[str, Any]) -> str | None:
        words, tags = row[self.text_column], row[self.tags_column]
        if not isinstance(words, list) or not isinstance(tags, list) or not words:
            return "words and tags are not lists of words"
        return None if len(words) == len(tags) else f"{len(words)} words and {len(tags)} tags"

    def texts(self, rows: Dataset) -> Iterator[str]:
        return (" ".join(words) for words in rows[self.text_column])

    def row_text(self, row: dict[str, Any]) -> str:
        return " ".join(row[self.text_column])

    # Head
    def auto_class(self) -> Any:
        from transformers import AutoModelForTokenClassification

        return AutoModelForTokenClassification

    def label_names(self, model: PreTrainedModel) -> list[str]:
        names: dict[Any, str] = model.config.id2label or {}
        return [names[i] for i in sorted(names, key=int)]

    def config_overrides(self, train: Dataset) -> dict[str, Any]:
        names = sorted({tag for tags in train[self.tags_column] for tag in tags})
        return {
            "num_labels": len(names),
            "id2label": dict(enumerate(names)),
            "label2id": {name: i for i, name in enumerate(names)},
        }

    # Encode
    def encode(self, rows: Dataset, tools: Tools, *, train: bool) -> Iterator[Feature]:
        index: dict[Any, Any] = tools.model.config.label2id or {}
        longest = context_length(tools.tokenizer, tools.model)
        for number, row in enumerate(rows):
            ids: list[int] = []
            labels: list[int] = []
            for word, tag in zip(row[self.text_column], row[self.tags_column], strict=True):
                own = tools.tokenizer.encode(f" {word}", add_special_tokens=False)
                ids += own
                labels += [index[tag], *[IGNORE] * (len(own) - 1)]
            tools.counts.rows += 1
            tools.counts.tokens += len(ids)
            tools.counts.supervised += 1
            origin = origin_of({k: [v] for k, v in row.items()}, 0, number)
            yield {"input_ids": ids[:longest], "labels": labels[:longest], "origin": origin}

    def show(self, feature: Feature, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, bool]]:
        return [(str(tokenizer.decode([int(i) for i in feature["input_ids"]])), False)]

    def collate(self, features: Sequence[Feature], pad_token_id: int) -> dict[str, Tensor]:
        ids = [feature["input_ids"] for feature in features]
        return {
            "input_ids": pad_right(ids, pad_token_id),
            "attention_mask": pad_right([[1] * len(row) for row in ids], 0),
            "labels": pad_right([feature["labels"] for feature in features], IGNORE),
        }

    has_units: ClassVar[bool] = True

    # Score: of each row the sum of its losses, and the tags of its words.
    def metrics(self) -> tuple[str, ...]:
        return ("seqeval_f1", "seqeval_precision", "seqeval_recall")

    def reduce(self, logits: Tensor, labels: Tensor) -> Reduced:
        from torch.nn.functional import cross_entropy

        found: Reduced = []
        for row, wanted in zip(logits.cpu().double(), labels.cpu(), strict=True):
            row, wanted = row[wanted != IGNORE], wanted[wanted != IGNORE]
            nll = float(cross_entropy(row, wanted, reduction="sum"))
            found.append((nll, *(float(i) for i in row.argmax(-1).tolist()), *wanted.tolist()))
        return found

    def outcomes(self, prepared: Prepared, reduced: Reduced) -> Iterator[dict[str, Any]]:
        names = prepared.labels or []
        for origin, row in zip(prepared.column("origin"), reduced, strict=True):
            nll, gold, prediction = _parts(row)
            yield {
                "origin": origin, "nll": nll, "n_tokens": len(gold),
                "gold": [names[i] for i in gold], "prediction": [names[i] for i in prediction],
            }  # fmt: skip

    def scores(self, prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Scores:
        rows = list(self.outcomes(prepared, list(reduced)))
        inputs = {
            "references": [row["gold"] for row in rows],
            "predictions": [row["prediction"] for row in rows],
        }
        n = sum(row["n_tokens"] for row in rows)
        loss = sum(row["nll"] for row in rows) / n
        return Scores(loss=loss, inputs=inputs, labels=prepared.labels)


def _parts(row: tuple[float, ...]) -> tuple[float, list[int], list[int]]:
    """The loss of a reduced row, the right tags and those that were predicted."""
    nll, *both = row
    half = len(both) // 2
    return nll, [int(i) for i in both[half:]], [int(i) for i in both[:half]]


def entities(tags: Tags) -> set[Entity]:
    """Return the entities of a text as seqeval's default mode (conlleval's) reads BIO tags."""
    found: set[Entity] = set()
    kind, first = "", 0
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, own = tag.partition("-")
        if kind and (prefix in ("O", "B") or own != kind):
            found.add((kind, first, i - 1))
            kind = ""
        if prefix != "O" and not kind:
            kind, first = own, i
    return found


def _counts(predictions: Sequence[Tags], references: Sequence[Tags]) -> tuple[int, int, int]:
    both = [(entities(p), entities(r)) for p, r in zip(predictions, references, strict=True)]
    return (
        sum(len(p & r) for p, r in both), sum(len(p) for p, _ in both), sum(len(r) for _, r in both)
    )  # fmt: skip


def _ratio(hits: float, of: float) -> float:
    return hits / of if of else 0.0  # seqeval's zero_division


def precision(predictions: Sequence[Tags], references: Sequence[Tags]) -> float:
    """Share of the predicted entities that are right."""
    hits, predicted, _ = _counts(predictions, references)
    return _ratio(hits, predicted)


def recall(predictions: Sequence[Tags], references: Sequence[Tags]) -> float:
    """Share of the entities that were found."""
    hits, _, right = _counts(predictions, references)
    return _ratio(hits, right)


def f1(predictions: Sequence[Tags], references: Sequence[Tags]) -> float:
    """Harmonic mean of precision and recall over all entities."""
    hits, predicted, right = _counts(predictions, references)
    return _ratio(2 * hits, predicted + right)


FORMULAS: Mapping[str, Any] = {"precision": precision, "recall": recall, "f1": f1}
PRECISION, RECALL, F1 = (
    Metric(f"seqeval_{name}", formula, INPUTS, True, f"{name} of entities, as seqeval has it.")
    for name, formula in FORMULAS.items()
)
