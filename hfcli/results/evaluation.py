"""The scores of a model, as printed and as report.json has them. Nothing is computed here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class EvalResult:
    """Scores of a model on a split.

    Args:
        split: of the data that a run was made with; None: files that are no part of such data.
        n_rows: rows that were scored.
        n_skipped: rows that were not (empty, left out for their length, or bad rows).
        metrics: name -> value; lists are in the order of `labels`, and of a matrix the rows are
            true labels.
        intervals: metric -> low, high and method; of a list, one such mapping a label.
        seconds: time of the scoring without loading the model.
        output_dir: where predictions and report are.
        weights_sha256: of the model by content.
        data_sha256: of the rows by content.
        settings: everything else that can change a prediction.
        skipped_rows: bad rows that were left out (`on_bad_row: skip`), as "file:line: why".
    """

    task: str
    model: str
    revision: str | None
    data: str
    split: str | None
    n_rows: int
    n_skipped: int
    metrics: dict[str, Any]
    intervals: dict[str, Any]
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
    skipped_rows: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_report(self) -> dict[str, Any]:
        """As report.json has it: every score with its interval, lists under names of their own."""
        lists = {name: value for name, value in self.metrics.items() if isinstance(value, list)}
        of_labels = [f"{name}_per_class" for name in ("precision", "recall", "f1", "support")]
        per_class = {
            label: {name.removesuffix("_per_class"): self._score(name, i) for name in of_labels}
            for i, label in enumerate(self.labels or ())
            if all(name in lists for name in of_labels)
        }
        return {
            **{name: value for name, value in self.to_dict().items() if name in REPORTED},
            "metrics": {name: self._score(name) for name in self.metrics if name not in lists},
            "per_class": per_class or None,
            "confusion_matrix": lists.get("confusion_matrix"),
            "reliability": lists.get("reliability"),
        }

    def _score(self, name: str, label: int | None = None) -> Any:
        """A value, with its interval where there is one."""
        value, interval = self.metrics[name], self.intervals.get(name)
        if label is not None:
            value, interval = value[label], interval[label] if interval else None
        if name == "support_per_class":
            return int(value)
        return {"value": value, **interval} if interval else value


REPORTED = {
    "task", "model", "revision", "weights_sha256", "data", "data_sha256", "split", "n_rows",
    "n_skipped", "labels", "settings", "versions", "created", "command", "seconds", "notes",
    "skipped_rows",
}  # fmt: skip
