"""Closing lines of `hfcli export`: where the thing went on stdout, the rest on stderr."""

from __future__ import annotations

from hfcli import shell
from hfcli.render.streams import write_err, write_line
from hfcli.results import MergeResult, PushResult


def show_merge(result: MergeResult) -> None:
    """The folder on stdout; what it holds and what to do with it on stderr."""
    write_line(result.output)
    write_err(
        f"{result.adapter} merged into {result.base}: {result.parameters:,} parameters in"
        f" {result.dtype}"
    )
    for command in result.try_next:
        write_err(f"next: {command.format(folder=shell.quote(result.output))}")


def show_push(result: PushResult) -> None:
    """The address on stdout; what went there on stderr."""
    write_line(result.url)
    for note in result.notes:
        write_err(f"note: {note}")
    write_err(
        f"{len(result.files)} files, {result.n_bytes / 1e6:.1f} MB, in the"
        f" {'private' if result.private else 'public'} repository {result.repo_id}"
    )
