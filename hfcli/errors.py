"""Everything that can go wrong for a user, and the exit code of each.

    HfcliError(message, *, hint=None)     never raised bare
      RecipeError      2   recipe missing, bad YAML, unknown key, wrong value: nothing was run
      DataError        3   file or data set not found, column missing, empty split, unseen label
      ModelError       4   model not found, wrong architecture for the task, no tokenizer
      RunError         5   device absent, out of memory, NaN loss, output folder not empty
      GateError        7   scores that do not meet what was asked of them
      Interrupted    130   by Ctrl-C, 143 by SIGTERM, with everything saved

Usage errors (Typer) exit with 2, an interrupt with 130, a bug with 1 and its plain traceback.
The classes know nothing about terminals: `hfcli.cli.app.main` turns them into a line and a code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from hfcli.shown import cut_line, cut_lines

LONGEST_IN_HINT = 1_000  # characters of one value; a hint is often a command to copy


class HfcliError(Exception):
    """What a user did or met, said so that they can act on it.

    Args:
        message: what went wrong and where, without a final full stop; a list of them is shown
            one a line. Values that are longer than 200 characters are cut, and so are long lists.
        hint: what to do next; shown on a line of its own.
    """

    exit_code: ClassVar[int]

    def __init__(self, message: str | Sequence[str], *, hint: str | None = None) -> None:
        self.lines = cut_lines([message] if isinstance(message, str) else message)
        self.hint = None if hint is None else cut_line(hint, LONGEST_IN_HINT)
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


class RecipeError(HfcliError):
    """The recipe or a flag is wrong; nothing was run."""

    exit_code = 2


class DataError(HfcliError):
    """The data cannot be read, or is not what the task needs."""

    exit_code = 3


class ModelError(HfcliError):
    """The model cannot be found, loaded, or used for this task."""

    exit_code = 4


class RunError(HfcliError):
    """The run itself cannot start or go on."""

    exit_code = 5


class GateError(HfcliError):
    """The scores are there, and are not what was asked for."""

    exit_code = 7


class Interrupted(HfcliError):  # noqa: N818 - not an error, an end
    """A signal ended the run, and it can go on; the exit code is 128 + the signal."""

    exit_code = 130

    def __init__(
        self, message: str | Sequence[str], *, signal: int, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = 128 + signal  # type: ignore[misc]


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The known name nearest to `name`, or None when none is near (difflib, cut-off 0.6)."""
    import difflib  # not needed until something is wrong

    near = difflib.get_close_matches(name, list(known), n=1)
    return near[0] if near else None
