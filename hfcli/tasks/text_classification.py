"""text-classification: one text, one label of a closed set.

Works with any model that has a sequence-classification head: GPT-2, which reads the last token
that is not padding, and encoders. Labels are the sorted set of the training labels; a model that
is only evaluated brings its own. Knows nothing about where rows come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from hfcli.errors import DataError
from hfcli.tasks.base import (
    ORIGIN,
    Feature,
    LossFunction,
    Prepared,
    Reduced,
    Scores,
    Task,
    Tools,
    context_length,
    origin_of,
    pad_right,
)
from hfcli.tasks.documents import not_text

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


ROWS_AT_ONCE = 1000
METRICS = (
    "accuracy",
    "f1_macro",
    "f1_weighted",
    "precision_macro",
    "precision_weighted",
    "recall_macro",
    "recall_weighted",
    "matthews_correlation",
    "confusion_matrix",
)


class TextClassification(Task):
    """Sequence classification with one label a text."""

    name: Literal["text-classification"] = "text-classification"
    text_column: str = Field("text", description="Column with the text.")
    label_column: str = Field("label", description="Column with the label: text, int or bool.")
    max_length: int | None = Field(
        None, ge=1, description="Longest input in tokens; default: what the model takes."
    )
    head_suffixes: ClassVar[tuple[str, ...]] = ("ForSequenceClassification",)

    @model_validator(mode="after")
    def _two_columns(self) -> TextClassification:
        if self.text_column == self.label_column:
            raise ValueError("text_column and label_column must be two columns")
        return self

    def columns(self) -> tuple[str, ...]:
        return (self.text_column, self.label_column)

    def stratify_by(self) -> str | None:
        return self.label_column

    def auto_class(self) -> Any:
        from transformers import AutoModelForSequenceClassification

        return AutoModelForSequenceClassification

    def config_overrides(self, train: Dataset) -> dict[str, Any]:
        names = label_names(train, self.label_column)
        if len(names) < 2:
            raise DataError(
                f"column {self.label_column!r} of the training data holds one label only"
                f" ({names[0]!r})",
                hint="classification needs two labels or more",
            )
        return {
            "num_labels": len(names),
            "id2label": dict(enumerate(names)),
            "label2id": {name: i for i, name in enumerate(names)},
            "problem_type": "single_label_classification",
        }

    def reject_missing_weights(self, missing: Sequence[str]) -> str | None:
        if not missing:
            return None
        return f"it has no trained classification head ({', '.join(missing[:3])} missing)"

    def metrics(self) -> tuple[str, ...]:
        return METRICS

    def check_row(self, row: dict[str, Any]) -> str | None:
        problem = not_text(row, self.text_column)
        if problem is not None:
            return problem
        label = row[self.label_column]
        if label is None or label == "" or not isinstance(label, str | int | bool):
            found = "nothing" if label in (None, "") else type(label).__name__
            return f"column {self.label_column!r} must be text, int or bool, found {found}"
        if not row[self.text_column].strip():
            return f"column {self.text_column!r} is empty: remove or complete the row"
        return None

    def label_names(self, model: PreTrainedModel) -> list[str]:
        names = {i: name for name, i in _label_index(model).items()}
        return [names[i] for i in sorted(names)]

    def encode(self, rows: Dataset, tools: Tools, *, train: bool) -> Iterator[Feature]:
        tokenizer = tools.tokenizer
        limit = context_length(tokenizer, tools.model)
        max_length = min(self.max_length or limit, limit)
        labels = self._label_ids(rows, tools.model)
        names = self.label_names(tools.model)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            batch = rows[start : start + ROWS_AT_ONCE]
            texts = list(batch[self.text_column])
            whole = tokenizer(texts)
            cut = tokenizer(texts, truncation=True, max_length=max_length)
            inputs = [name for name in tokenizer.model_input_names if name in cut]
            for i in range(len(texts)):
                origin = origin_of(batch, i, start + i)
                n_tokens = len(whole["input_ids"][i])
                if not _fits(n_tokens, max_length, origin, tools):
                    continue
                label = labels[start + i]
                tools.counts.tokens += len(cut["input_ids"][i])
                tools.counts.supervised += 1
                tools.counts.labels[names[label]] += 1
                values = {name: cut[name][i] for name in inputs if name != "attention_mask"}
                yield {**values, "labels": label, "origin": origin}

    def show(self, feature: Feature, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, bool]]:
        text = str(tokenizer.decode([int(i) for i in feature["input_ids"]]))
        return [(text, False), (str(feature["labels"]), True)]

    def collate(self, features: Sequence[Feature], pad_token_id: int) -> dict[str, Tensor]:
        import torch

        batch = {
            name: pad_right([f[name] for f in features], pad_token_id if name == "input_ids" else 0)
            for name in features[0]
            if name not in ("labels", "origin")
        }
        lengths = torch.tensor([len(f["input_ids"]) for f in features])
        columns = torch.arange(batch["input_ids"].shape[1])
        batch["attention_mask"] = (columns < lengths[:, None]).long()
        batch["labels"] = torch.tensor([int(f["labels"]) for f in features])
        return batch

    def loss_function(self, *, labels: Mapping[str, int], label_smoothing: float) -> LossFunction:
        def cross_entropy(
            outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None
        ) -> Tensor:
            import torch

            total = torch.nn.functional.cross_entropy(
                outputs.logits.float(), labels, reduction="sum"
            )
            return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)

        return cross_entropy

    def reduce(self, logits: Tensor, labels: Tensor) -> Reduced:
        import torch

        nll = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
        return list(zip(logits.argmax(-1).tolist(), nll.tolist(), strict=True))

    def scores(self, prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Scores:
        return Scores(
            loss=sum(nll for _, nll in reduced) / len(reduced),
            inputs={
                "predictions": [int(prediction) for prediction, _ in reduced],
                "references": [int(label) for label in prepared.column("labels")],
            },
            options={"labels": list(range(len(prepared.labels or ())))},
            labels=prepared.labels,
        )

    def _label_ids(self, rows: Dataset, model: PreTrainedModel) -> list[int]:
        names = _as_names(rows, self.label_column)
        by_name = _label_index(model)
        if not set(names) <= set(by_name):
            indices = {str(i): i for i in by_name.values()}
            if set(names) <= set(indices):
                by_name = indices
        unseen = [i for i, name in enumerate(names) if name not in by_name]
        if unseen:
            raise DataError(
                f"{_origins(rows, unseen)}: label(s) {sorted({names[i] for i in unseen})} in column"
                f" {self.label_column!r} are not among the model's labels {list(by_name)}",
                hint="the model knows the labels of its training data only; they are matched"
                " by name, or by index when all are indices",
            )
        return [by_name[name] for name in names]


def _fits(n_tokens: int, max_length: int, origin: str, tools: Tools) -> bool:
    """Whether the row is kept; `counts` is told."""
    counts = tools.counts
    counts.rows += 1
    counts.longest = max(counts.longest, n_tokens)
    if n_tokens <= max_length:
        return True
    if tools.on_overflow == "error":
        raise DataError(
            f"{origin}: has {n_tokens} tokens, the limit is {max_length}",
            hint="data.on_overflow: truncate or drop go on",
        )
    if tools.on_overflow == "drop":
        counts.dropped += 1
        return False
    counts.truncated += 1
    counts.cut_tokens += n_tokens - max_length
    return True


def label_names(rows: Dataset, column: str) -> list[str]:
    """Label names in a stable order: ClassLabel's own, else sorted, whole numbers by value."""
    declared = getattr(rows.features[column], "names", None)
    if declared:
        return [str(name) for name in declared]
    names = set(_as_names(rows, column))
    if all(name.removeprefix("-").isdecimal() for name in names):
        return sorted(names, key=int)
    return sorted(names)


def _label_index(model: PreTrainedModel) -> dict[str, int]:
    """The model's label names and their indices."""
    return {str(name): int(i) for i, name in (model.config.id2label or {}).items()}


def _as_names(rows: Dataset, column: str) -> list[str]:
    declared = getattr(rows.features[column], "names", None)
    if not declared:
        return [str(value) for value in rows[column]]
    if any(value < 0 for value in rows[column]):
        raise DataError(
            f"column {column!r} holds rows without a label (-1)",
            hint="test splits of the Hub are often unlabelled: choose another split",
        )
    return [str(declared[value]) for value in rows[column]]


def _origins(rows: Dataset, indices: Sequence[int]) -> str:
    if ORIGIN not in rows.column_names:
        return f"row {indices[0]}"
    shown = ", ".join(rows[i][ORIGIN] for i in indices[:3])
    return shown + (f" and {len(indices) - 3} more" if len(indices) > 3 else "")
