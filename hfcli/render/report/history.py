"""What a run wrote while it went: metrics.jsonl and samples.jsonl -> lists of plain dicts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hfcli.errors import RunError
from hfcli.runfolder.names import METRICS_FILE, SAMPLES_FILE

EVAL = "eval_"
# Times are no scores.
TIMES = ("runtime", "per_second", "compilation_time")

Item = TypeVar("Item")


@dataclass(frozen=True)
class History:
    """A run in order of its steps.

    Args:
        training: one dict a logging step: step, loss, learning_rate, ...
        evaluations: one dict an evaluated step: step, epoch, and the scores without `eval_`.
        samples: one dict a generated text: step, prompt, text.
    """

    training: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    samples: list[dict[str, Any]]

    def scores(self) -> list[str]:
        """Names of the scores that are single numbers, the loss first."""
        names = dict.fromkeys(
            name
            for line in self.evaluations
            for name, value in line.items()
            if name not in ("step", "epoch") and is_number(value)
        )
        return sorted(names, key=lambda name: name != "loss")


def read_history(folder: Path) -> History:
    """Read what there is; both files may be absent.

    Raises:
        RunError: a line is not JSON.
    """
    lines = _lines(folder / METRICS_FILE)
    evaluations: dict[int, dict[str, Any]] = {}
    for line in lines:
        scores = {key.removeprefix(EVAL): value for key, value in line.items() if _is_score(key)}
        if scores:
            # The last of a step counts: the saved model is scored once more at the end.
            evaluations[line["step"]] = {"step": line["step"], "epoch": line.get("epoch"), **scores}
    return History(
        training=[line for line in lines if is_number(line.get("loss"))],
        evaluations=[evaluations[step] for step in sorted(evaluations)],
        samples=_lines(folder / SAMPLES_FILE),
    )


def is_number(value: Any) -> bool:
    """Whether a chart can show it; NaN and infinity are gaps, and count."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def thin(items: Sequence[Item], limit: int) -> list[Item]:
    """At most `limit` items at even distances, the first and the last among them."""
    if len(items) <= limit:
        return list(items)
    return [items[round(i * (len(items) - 1) / (limit - 1))] for i in range(limit)]


def _is_score(key: str) -> bool:
    return key.startswith(EVAL) and not key.endswith(TIMES)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    found = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for i, line in enumerate(file, 1):
            try:
                found.append({**json.loads(line)})
            except (ValueError, TypeError, RecursionError) as e:
                raise RunError(f"{path}:{i}: not JSON, so no report can be made of it") from e
    return found
