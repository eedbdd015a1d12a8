"""The faults of disks, folders and memory, told from bugs and made into one line.

A full disk is an OSError here, a RuntimeError of torch's there, a text of Rust's elsewhere. Knows
no file of hfcli.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from types import TracebackType

from hfcli.errors import HfcliError, RunError

# What a bug of hfcli looks like, and the closed pipe, which has its own end; any other errno is the
# disk's, the network's or the user's doing.
NOT_FAULTS = frozenset(
    {errno.EBADF, errno.EFAULT, errno.EDOM, errno.ERANGE, errno.ECHILD, errno.EPIPE}
)
# These count in an error that arose while they were handled, too.
HARD = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE})
RUST_OR_ARROW = re.compile(r"(?:os error|[Ee]rrno:?) (\d+)")
WRITERS = re.compile(  # torch's and SQLite's words for a file that cannot be written
    r"file write failed|failed writing|unexpected pos \d+|Parent directory .* does not exist"
    r"|File .* cannot be opened|database or disk is full|disk I/O error"
    r"|iostream error|unable to open database file|readonly database"
)
HINTS = {
    errno.ENOSPC: "make room, or write elsewhere",
    errno.EDQUOT: "make room, or write elsewhere",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENAMETOOLONG: "choose a shorter name",
}


class environment_errors:  # noqa: N801 - a context manager, used like a function
    """Turn a full disk, a read-only folder, no memory and the like into an HfcliError.

    Args:
        path: what was written or read; None: the error's own file name.
        error: the class to raise.
        hint: what to do; None: a hint by the reason.
        what: what failed, as "cannot be written"; None: the reason stands alone.

    Raises:
        HfcliError: of the given class, in place of an OSError of the environment, a MemoryError,
            or what torch, safetensors, tokenizers, Arrow and SQLite raise in their place.
    """

    def __init__(
        self,
        path: Path | None = None,
        error: type[HfcliError] = RunError,
        *,
        hint: str | None = None,
        what: str | None = None,
    ) -> None:
        self.path, self.error, self.hint, self.what = path, error, hint, what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, HfcliError):
            return
        found = fault(error)
        if found is not None:
            reason, name, hint = found
            where = self.path if self.path is not None else name
            told = f"{self.what} ({reason})" if self.what else reason
            message = f"{where}: {told}" if where else told
            raise self.error(message, hint=self.hint or hint) from error


def fault(error: BaseException) -> tuple[str, str | None, str | None] | None:
    """Return reason, file name and hint of an error that the environment caused, else None."""
    if isinstance(error, MemoryError):
        return "out of memory", None, "use a smaller batch, model or file"
    number = _errno(error)
    if number in NOT_FAULTS:
        return None
    if number is not None:
        name = getattr(error, "filename", None)
        return os.strerror(number), _shown(name), HINTS.get(number)
    if type(error).__name__ in ("RuntimeError", "OperationalError"):
        found = WRITERS.search(str(error))
        if found:
            return f"a file cannot be written ({found[0]})", None, HINTS[errno.ENOSPC]
    if error.__cause__ is not None:
        return fault(error.__cause__)
    behind = error.__context__
    return fault(behind) if behind is not None and _errno(behind) in HARD else None


def _errno(error: BaseException) -> int | None:
    """The errno of an OSError, or of what a library wrote in Rust or C++ raises in its place."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    first = str(error.args[0]) if error.args else ""
    found = RUST_OR_ARROW.search(first)
    return int(found[1]) if found else None


def _shown(name: object) -> str | None:
    return None if name is None or isinstance(name, int) else os.fsdecode(name)  # type: ignore[arg-type]
