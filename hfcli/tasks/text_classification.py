"""text-classification: a text, or a pair of texts, and its label, labels, or number.

Works with any model that has a sequence-classification head: GPT-2, which reads the last token
that is not padding, and encoders. Labels are those of the training rows; a model that is only
evaluated brings its own. Knows nothing about where rows come from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from hfcli.tasks.base import (
    Feature,
    LossFunction,
    Prepared,
    Reduced,
    Scores,
    Task,
    Tools,
    context_length,
    pad_right,
)
from hfcli.tasks.batches import batches
from hfcli.tasks.documents import not_text
from hfcli.tasks.labels import BadLabel, check_names, yes_or_no
from hfcli.tasks.losses import LossOptions
from hfcli.tasks.pairs import Encoder, Inputs, fits
from hfcli.tasks.prepared import MOST
from hfcli.tasks.problems import PROBLEMS, Problem, check_model
from hfcli.tasks.problems.base import label_config

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SEPARATOR = "|"
SEVERAL = "multi_label_classification"
NOT_INPUTS = ("labels", "label", "origin")


class TextClassification(Task):
    """Sequence classification: one label, several, or a number a text."""

    name: Literal["text-classification"] = "text-classification"
    text_column: str = Field("text", description="Column with the text.")
    text_pair_column: str | None = Field(
        None,
        description="Column with a second text. The two are encoded as the tokenizer encodes pairs;"
        " where it puts nothing between them (GPT-2), its separator or EOS token stands there.",
    )
    label_column: str = Field(
        "label",
        description="Column with the label: text, int or bool; for several labels a list of them"
        " or a text with label_separator in it; for regression a number.",
    )
    label_columns: tuple[str, ...] | None = Field(
        None,
        min_length=2,
        description="Columns with 0 or 1, one a label, whose name is the column's; for several"
        " labels, in the place of label_column.",
    )
    problem_type: Literal[
        "single_label_classification", "multi_label_classification", "regression"
    ] = Field(
        "single_label_classification",
        description="One label a row, any number of labels, or a number.",
    )
    label_separator: str = Field(
        SEPARATOR,
        min_length=1,
        description="What stands between several labels in a text; an empty text has none.",
    )
    class_weights: Literal["balanced"] | dict[str, float] | None = Field(
        None,
        description="Weights of labels in the loss, 1 where not given. `balanced`: rows / (labels *"
        " rows of the label). With several labels a row they weigh a label where it is given, and"
        " `balanced` is rows without it / rows with it. The loss of an optimizer step is the"
        " weighted sum over its rows, divided by their number.",
    )
    focal_gamma: float = Field(
        0.0,
        ge=0,
        description="Focal loss (Lin et al. 2017): the loss of a row times (1 - p)^gamma, p being"
        " the probability of its label; 0: cross-entropy.",
    )
    max_length: int | None = Field(
        None, ge=1, le=MOST, description="Longest input in tokens; default: what the model takes."
    )
    head_suffixes: ClassVar[tuple[str, ...]] = ("ForSequenceClassification",)

    @model_validator(mode="before")
    @classmethod
    def _several_labels(cls, values: Any) -> Any:
        """One column a label means several labels, without a word about the problem."""
        if isinstance(values, dict) and values.get("label_columns") is not None:
            return {"problem_type": SEVERAL, **values}
        return values

    @field_validator("class_weights", mode="before")
    @classmethod
    def _balanced_or_numbers(cls, value: Any) -> Any:
        if value is None or value == "balanced":
            return value
        if not isinstance(value, dict) or not value:
            raise ValueError(
                f"must be balanced, or a weight for each label, as {{spam: 5}} (found {value!r})"
            )
        for name, weight in value.items():
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not number or not 0 < weight < math.inf:
                raise ValueError(f"the weight of {name} must be above 0 (found {weight!r})")
        return {str(name): weight for name, weight in value.items()}  # YAML reads 0 as a number

    @model_validator(mode="after")
    def _fits_together(self) -> TextClassification:
        columns = [*self.columns(), *([] if self.label_columns is None else [self.label_column])]
        if len(set(columns)) < len(columns):
            raise ValueError(
                "text_column, text_pair_column and label_column must be different columns"
            )
        if self.label_columns is not None and self.problem_type != SEVERAL:
            raise ValueError(f"label_columns goes with problem_type: {SEVERAL}")
        problem = self.problem()
        if not problem.named and (self.class_weights is not None or self.focal_gamma):
            raise ValueError(
                f"class_weights and focal_gamma do not go with problem_type: {problem.name}"
            )
        if self.label_separator != SEPARATOR and not problem.several:
            raise ValueError("label_separator goes with problem_type: multi_label_classification")
        return self

    def problem(self) -> Problem:
        """How labels are read, learned and scored."""
        return PROBLEMS[self.problem_type](self.label_separator)

    def text_columns(self) -> tuple[str, ...]:
        """One column, or two."""
        pair = self.text_pair_column
        return (self.text_column,) if pair is None else (self.text_column, pair)

    def columns(self) -> tuple[str, ...]:
        """Columns of the data; what is stored of several with labels is one, `label_column`."""
        return (*self.text_columns(), *(self.label_columns or (self.label_column,)))

    @property
    def changes_rows(self) -> bool:
        return self.label_columns is not None

    def stored(self, row: dict[str, Any]) -> dict[str, Any]:
        if self.label_columns is None:
            return super().stored(row)
        names = [name for name in self.label_columns if yes_or_no(row[name])]
        return {**{name: row[name] for name in self.text_columns()}, self.label_column: names}

    def stratify_by(self) -> str | None:
        return self.label_column if self.problem().stratified else None

    def smooths_labels(self) -> bool:
        return self.problem().smoothed

    def texts(self, rows: Dataset) -> Iterator[str]:
        for _start, batch in batches(rows):
            for column in self.text_columns():
                yield from batch[column]

    def auto_class(self) -> Any:
        from transformers import AutoModelForSequenceClassification

        return AutoModelForSequenceClassification

    def metrics(self) -> tuple[str, ...]:
        return self.problem().metrics

    def eval_metrics(self) -> tuple[str, ...]:
        return (*self.metrics(), *self.problem().more_metrics)

    def check_row(self, row: dict[str, Any]) -> str | None:
        for column in self.text_columns():
            problem = not_text(row, column)
            if problem is not None:
                return problem
        problem = self._bad_label(row)
        if problem is not None:
            return problem
        for column in self.text_columns():
            if not row[column].strip():
                return f"column {column!r} is empty: remove or complete the row"
        return None

    def _bad_label(self, row: dict[str, Any]) -> str | None:
        read = self.problem().read if self.label_columns is None else yes_or_no
        for column in self.label_columns or (self.label_column,):
            try:
                read(row[column])
            except BadLabel as e:
                return f"column {column!r} {e}"
        return None

    @classmethod
    def settings_of(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        problem = config.get("problem_type")
        return {"problem_type": problem} if problem in PROBLEMS else {}

    def config_overrides(self, train: Dataset) -> dict[str, Any]:
        if self.label_columns is not None:
            config = label_config(self.problem(), self.label_columns)
        else:
            config = self.problem().config(train, self.label_column)
        if isinstance(self.class_weights, dict):
            check_names("task.class_weights", self.class_weights, config["label2id"])
        return config

    def reject_missing_weights(self, missing: Sequence[str]) -> str | None:
        if not missing:
            return None
        return f"it has no trained classification head ({', '.join(missing[:3])} missing)"

    def label_names(self, model: PreTrainedModel) -> list[str] | None:
        if not self.problem().named:
            return None
        names: dict[Any, Any] = model.config.id2label or {}
        return [str(names[i]) for i in sorted(names, key=int)]

    def encode(self, rows: Dataset, tools: Tools, *, train: bool) -> Iterator[Feature]:
        check_model(self.problem(), tools.model)
        names = self.label_names(tools.model) or []
        limit = context_length(tools.tokenizer, tools.model)
        max_length = min(self.max_length or limit, limit)
        pairs = self.text_pair_column is not None
        encoder = Encoder(tools.tokenizer, max_length, pairs=pairs)
        labels = self.problem().labels(rows, self.label_column, names)
        for (origin, label), inputs in zip(labels, self._inputs(rows, encoder), strict=True):
            if not fits(inputs.n_tokens, max_length, origin, tools):
                continue
            tools.counts.tokens += len(inputs.values["input_ids"])
            tools.counts.supervised += 1
            tools.counts.labels.update(label.names)
            yield {**inputs.values, "labels": label.target, "label": label.text, "origin": origin}

    def _inputs(self, rows: Dataset, encoder: Encoder) -> Iterator[Inputs]:
        for _start, batch in batches(rows):
            yield from encoder.encode(*(batch[column] for column in self.text_columns()))

    def show(self, feature: Feature, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, bool]]:
        text = str(tokenizer.decode([int(i) for i in feature["input_ids"]]))
        return [(text, False), (str(feature["label"]), True)]

    def collate(self, features: Sequence[Feature], pad_token_id: int) -> dict[str, Tensor]:
        import torch

        batch = {
            name: pad_right([f[name] for f in features], pad_token_id if name == "input_ids" else 0)
            for name in features[0]
            if name not in NOT_INPUTS
        }
        lengths = torch.tensor([len(f["input_ids"]) for f in features])
        columns = torch.arange(batch["input_ids"].shape[1])
        batch["attention_mask"] = (columns < lengths[:, None]).long()
        batch["labels"] = self.problem().tensor([f["labels"] for f in features])
        return batch

    def loss_function(
        self, *, labels: Mapping[str, int], n_rows: int, label_smoothing: float
    ) -> LossFunction:
        problem, given = self.problem(), self.class_weights
        weights = None
        if given == "balanced":
            weights = problem.balanced(labels, n_rows)
        elif isinstance(given, dict):
            weights = [given.get(name, 1.0) for name in labels]
        return problem.loss(LossOptions(weights, self.focal_gamma, label_smoothing))

    def reduce(self, logits: Tensor, labels: Tensor) -> Reduced:
        return self.problem().reduce(logits, labels)

    def outcomes(self, prepared: Prepared, reduced: Reduced) -> Iterator[dict[str, Any]]:
        targets, names = prepared.column("labels"), prepared.labels or []
        for origin, target, row in zip(prepared.column("origin"), targets, reduced, strict=True):
            yield {"origin": origin, **self.problem().outcome(target, row, names)}

    def row_text(self, row: dict[str, Any]) -> str:
        return "\n".join(str(row[column]) for column in self.text_columns())

    def scores(self, prepared: Prepared, reduced: Sequence[tuple[float, ...]]) -> Scores:
        return self.problem().scores(prepared.column("labels"), reduced, prepared.labels)
