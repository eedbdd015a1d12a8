"""Events -> a live line on a terminal's stderr, or plain lines where there is no terminal."""

from __future__ import annotations

import logging
import os
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from hfcli.render.streams import write_err, write_model_text
from hfcli.results import (
    Choice,
    Evaluated,
    Event,
    Note,
    RowsScored,
    SampleWritten,
    StepDone,
    TextPiece,
    TextsDone,
    TrainingStarted,
)
from hfcli.shown import visible

SECONDS_BETWEEN_LINES = 10.0
_LOG = logging.getLogger("hfcli")


class _Remarks(logging.Handler):
    """What modules remark by `logging`, among the lines of a reporter."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self.reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        """Show one remark."""
        self.reporter(Note(record.getMessage()))


def is_live() -> bool:
    """Whether stderr is a terminal that can redraw a line."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "")


class Reporter:
    """A listener for one command; use it as a context, so that a live line is closed.

    Args:
        stream_text: write generated text to stdout as it comes.
        verbose: say what was chosen for this machine.
    """

    def __init__(self, *, stream_text: bool = False, verbose: bool = False) -> None:
        self.stream_text = stream_text
        self.verbose = verbose
        self.live = is_live()
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._last_line = time.monotonic()
        self._last_eval = ""
        self._started = time.monotonic()
        self._remarks = _Remarks(self)

    def __enter__(self) -> Reporter:
        if self.verbose:
            _LOG.addHandler(self._remarks)
            _LOG.setLevel(logging.INFO)
        return self

    def __exit__(self, *_error: object) -> None:
        _LOG.removeHandler(self._remarks)
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case TextPiece():
                if self.stream_text:
                    write_model_text(event.text)
            case Note():
                self._line(f"note: {event.text}")
            case Choice():
                if self.verbose:
                    self._line(f"chosen: {event.text}")
            case TrainingStarted():
                self._training_started(event)
            case StepDone():
                self._step(event)
            case Evaluated():
                self._evaluated(event)
            case SampleWritten():
                self._line(f"step {event.step}  sample  {event.prompt}{event.text}")
            case RowsScored():
                self._scored(event)
            case TextsDone():
                self._texts(event)

    def _training_started(self, event: TrainingStarted) -> None:
        self._line(
            f"training {event.trainable_parameters:,} parameters on {event.train_rows:,} rows,"
            f" {event.total_steps:,} steps" + (f", {event.done:,} done" if event.done else "")
        )
        self._started = time.monotonic()
        self._first_step = event.done
        self._open(event.total_steps, event.done)

    def _step(self, event: StepDone) -> None:
        speed = f"{event.tokens_per_second:,.0f} tok/s"
        loss = "" if event.loss is None else f"loss {event.loss:.4f}"
        if self._progress is not None:
            fields = {"speed": speed, "last_eval": self._last_eval}
            if loss:
                fields["loss"] = loss
            self._progress.update(self._task, completed=event.step, **fields)  # type: ignore[arg-type]
        elif loss:
            done = event.step - self._first_step
            left = (time.monotonic() - self._started) / done * (event.total_steps - event.step)
            self._line(
                f"step {event.step}/{event.total_steps}  {loss}  {speed}  eta {_clock(left)}"
            )

    def _evaluated(self, event: Evaluated) -> None:
        shown = "  ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
        self._last_eval = f"eval loss {event.metrics['loss']:.4f}"
        self._line(f"step {event.step}  validation  {shown}")

    def _scored(self, event: RowsScored) -> None:
        if self.live:
            self._open(event.total, 0)
            assert self._progress is not None
            self._progress.update(self._task, completed=event.done)
        elif time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._line(f"scored {event.done:,} of {event.total:,}")

    def _texts(self, event: TextsDone) -> None:
        speed = f"{event.tokens_per_second:,.0f} tok/s"
        errors = f"{event.errors:,} failed" if event.errors else ""
        if self.live:
            self._open(event.total, event.texts)  # those of an earlier run cost no time now
            assert self._progress is not None
            fields = {"speed": speed, "loss": errors}
            self._progress.update(self._task, completed=event.texts, **fields)  # type: ignore[arg-type]
        elif time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            of = "" if event.total is None else f" of {event.total:,}"
            self._line(f"{event.texts:,}{of} texts  {speed}  {errors}".rstrip())

    def _open(self, total: int | None, done: int) -> None:
        if not self.live or self._progress is not None:
            return
        columns = [
            TextColumn("{task.completed:,.0f}" + ("" if total is None else f"/{total:,}")),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[loss]}", markup=False),
            TextColumn("{task.fields[speed]}", markup=False),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[last_eval]}", markup=False),
        ]
        console = Console(stderr=True, highlight=False)
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task(
            "", total=total, completed=done, loss="", speed="", last_eval=""
        )
        self._progress.start()

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        if self._progress is not None:
            # Above the live line; markup off, since text may hold anything.
            line = visible(text)
            self._progress.console.print(line, markup=False, emoji=False, soft_wrap=True)
        else:
            write_err(text)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
