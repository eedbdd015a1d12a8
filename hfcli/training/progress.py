"""What a run has measured so far: its time, and metrics.jsonl and samples.jsonl by step."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli import files
from hfcli.errors import RunError
from hfcli.faults import environment_errors


@dataclass
class Clock:
    """Seconds of training, those of earlier parts of the run included.

    Args:
        earlier: seconds up to the checkpoint that the run goes on from.
    """

    earlier: float = 0.0
    started: float | None = None

    def start(self) -> None:
        """Begin to count; again, it changes nothing."""
        if self.started is None:
            self.started = time.perf_counter()

    def seconds(self) -> float:
        """Seconds so far."""
        now = time.perf_counter()
        return self.earlier + now - (now if self.started is None else self.started)


def of_all_parts(logs: dict[str, float], seconds: float, steps: int) -> dict[str, float]:
    """Return Trainer's times and rates at the end of a run for its earlier parts, too.

    Args:
        logs: to be logged.
        seconds: of training, from the first step on.
        steps: optimizer steps in that time.
    """
    runtime, rate = logs.get("train_runtime"), logs.get("train_steps_per_second")
    if runtime is None or not rate or not seconds:
        return logs
    scale = steps / seconds / rate
    rates = ("train_samples_per_second", "train_steps_per_second")
    scaled = {name: round(logs[name] * scale, 3) for name in rates if name in logs}
    return {**logs, **scaled, "train_runtime": round(seconds, 4)}


class StepLog:
    """A file with one JSON object a line, each with its step, in step order."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(
        self, step: int, values: dict[str, Any], tokens_per_second: float | None = None
    ) -> None:
        """Append one line; written at once, so that a killed run keeps what it measured."""
        # JSON has no NaN, which a metric that is not defined for these rows is.
        finite = {
            k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()
        }
        line: dict[str, Any] = {"step": step, **finite}
        if tokens_per_second is not None:
            line["tokens_per_second"] = round(tokens_per_second, 1)
        with environment_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def cut_after(self, step: int) -> None:
        """Drop lines of steps that a resumed run is going to take again."""
        if not self.path.is_file():
            return
        kept = []
        lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        for number, line in enumerate(lines, 1):
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, TypeError, KeyError, RecursionError) as e:
                if any(lines[number:]):
                    hint = "remove the line, and resume again"
                    raise RunError(f"{self.path}:{number}: is damaged", hint=hint) from e
                break  # the last line of a killed run may be half written
        files.write_text(self.path, "".join(f"{line}\n" for line in kept))
