"""Calls into other libraries over content of the user's: what they raise becomes an HfcliError.

A library raises whatever its code happens to meet in a broken file: TypeError, ZeroDivisionError,
Rust's panics. No list of types is complete, so the place decides: what arises in another library's
code is the content's fault, what arises in hfcli's own code is a bug and passes with its traceback.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from hfcli.device import out_of_memory
from hfcli.errors import HfcliError, ModelError, RunError

PACKAGE = str(Path(__file__).parent)
MOST = 200  # characters of a library's message
# Builtin types whose message alone does not say what is wrong.
NEEDS_TYPE = (LookupError, TypeError, AttributeError, ArithmeticError, AssertionError)


class foreign_errors:  # noqa: N801 - used like contextlib.suppress
    """Turn the errors of another library's code within the block into one error of hfcli's.

    Left as they are: errors of hfcli's, interrupts, a closed pipe, and bugs of hfcli's own code.
    Out of memory becomes a RunError.

        with foreign_errors(ModelError, f"{folder}: cannot be loaded", hint="..."):
            AutoConfig.from_pretrained(folder)

    Args:
        kind: class of the error to raise.
        message: what failed and where; the library's first line follows in parentheses.
        hint: what to do next.
        say: what the library's error says, in one line.
    """

    def __init__(
        self,
        kind: type[HfcliError],
        message: str,
        *,
        hint: str | None = None,
        say: Callable[[BaseException], str] | None = None,
    ) -> None:
        self.kind = kind
        self.message = message
        self.hint = hint
        self.say = say or first_line

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or not is_foreign(error):
            return
        if out_of_memory(error):
            raise RunError(f"{self.message}: out of memory") from error
        raise self.kind(f"{self.message} ({self.say(error)})", hint=self.hint) from error


class forward_errors(foreign_errors):  # noqa: N801 - as above
    """Turn what a model's forward pass raises into a ModelError.

    A configuration that contradicts the weights is often found there only. Memory that runs out
    and errors of files pass: callers go on with smaller batches, or tell the disk's fault.

    Args:
        model: a model of transformers.
    """

    def __init__(self, model: object) -> None:
        name = getattr(model, "name_or_path", "") or "the model"
        hint = "its config.json may not fit its weights; HFCLI_DEBUG=1 shows where it fails"
        super().__init__(ModelError, f"{name}: computing with it fails", hint=hint)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, OSError) or out_of_memory(error):
            return
        super().__exit__(kind, error, traceback)


def is_foreign(error: BaseException) -> bool:
    """Whether another library's code raised this over its input, and no bug or signal did."""
    panic = type(error).__name__ == "PanicException"  # of Rust: no subclass of Exception
    if not panic and not isinstance(error, Exception):
        return False  # KeyboardInterrupt, SystemExit, GeneratorExit
    if isinstance(error, BrokenPipeError) or type(error).__module__.partition(".")[0] == "hfcli":
        return False
    return _is_of_compiled_code(error) or not _arose_in_hfcli(error)


def _is_of_compiled_code(error: BaseException) -> bool:
    """Whether its type tells that no line of Python raised it, wherever it appears.

    Compiled functions have no frame: what they raise seems to arise in the line that calls them.
    torch raises RuntimeError, tokenizers a plain Exception, others types of their own.
    """
    kind = type(error)
    return (
        kind is Exception
        or isinstance(error, RuntimeError | OSError | MemoryError)
        or kind.__module__ != "builtins"
    )


def _arose_in_hfcli(error: BaseException) -> bool:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None or frame.tb_frame.f_globals.get("HANDS_ON_CALLS"):
        return False
    return frame.tb_frame.f_code.co_filename.startswith(PACKAGE)


def first_line(error: BaseException) -> str:
    """What another library's error says: one line, cut, control characters escaped."""
    if isinstance(error, json.JSONDecodeError):
        text = f"broken JSON: {error}"
    else:
        first, *more = str(error).strip().splitlines() or [""]
        text = f"{first} {more[0].strip()}" if first.endswith(":") and more else first
        if not text or isinstance(error, NEEDS_TYPE):
            text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return cut(text)


def cut(text: str, most: int = MOST) -> str:
    """The text as it can stand in a line: `most` characters, with control characters escaped."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in re.sub(r"[\r\n]+", " ", text))
    return shown if len(shown) <= most else f"{shown[:most]}..."
