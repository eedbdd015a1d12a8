"""The scores of a model, as printed and as report.json has them. Nothing is computed here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class EvalResult:
    """Scores of a model on a split.

    Args:
        n_rows: rows that were scored.
        n_skipped: rows that were not (empty, or left out for their length).
        metrics: name -> value; lists are in the order of `labels`, and of a matrix the rows are
            true labels.
        intervals: metric -> low, high and method, where there is one.
        seconds: time of the scoring without loading the model.
        output_dir: where predictions and report are.
        weights_sha256: of the model by content.
        data_sha256: of the rows by content.
        settings: everything else that can change a prediction.
    """

    task: str
    model: str
    revision: str | None
    data: str
    split: str
    n_rows: int
    n_skipped: int
    metrics: dict[str, Any]
    intervals: dict[str, dict[str, Any]]
    seconds: float
    device: str
    output_dir: str
    weights_sha256: str
    data_sha256: str
    settings: dict[str, Any]
    versions: dict[str, str]
    created: str
    command: str
    labels: list[str] | None = None
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_report(self) -> dict[str, Any]:
        """As report.json has it: every score with its interval, lists under names of their own."""
        lists = {name: value for name, value in self.metrics.items() if isinstance(value, list)}
        names = ("precision", "recall", "f1", "support")
        columns = [lists.get(f"{name}_per_class") for name in names]
        per_class = {
            label: {
                name: int(column[i]) if name == "support" else column[i]
                for name, column in zip(names, columns, strict=True)
                if column is not None
            }
            for i, label in enumerate(self.labels or ())
        }
        return {
            **{name: value for name, value in self.to_dict().items() if name in REPORTED},
            "metrics": {
                name: {"value": value, **self.intervals[name]} if name in self.intervals else value
                for name, value in self.metrics.items()
                if name not in lists
            },
            "per_class": per_class if all(column is not None for column in columns) else None,
            "confusion_matrix": lists.get("confusion_matrix"),
            "reliability": lists.get("reliability"),
        }


REPORTED = {
    "task", "model", "revision", "weights_sha256", "data", "data_sha256", "split", "n_rows",
    "n_skipped", "labels", "settings", "versions", "created", "command", "seconds", "notes",
}  # fmt: skip
