"""`hfcli compare`: from saved evaluations to their paired differences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfcli.cli import options


def compare_command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Runs, or folders written by eval, two or more; all are compared with the first.",
            show_default=False,
        ),
    ],
    flips: Annotated[
        int, typer.Option(min=0, help="Most rows to list that only A, or only B, got right.")
    ] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws; the same gives the same.")] = 0,
    json: options.Json = False,
) -> None:
    """Compare evaluations of the same rows: which difference is more than chance?

    Paired: exact McNemar tests, permutations, bootstrap intervals of the differences, Holm's
    adjustment for the number of metrics, and the rows that changed.
    """
    _compare(runs=runs, flips=flips, seed=seed, json=json)


def _compare(*, runs: list[Path], flips: int, seed: int, json: bool) -> None:
    from hfcli.evaluation.compare import compare
    from hfcli.render.compare import show_compare
    from hfcli.render.streams import write_json

    result = compare(runs=runs, flips=flips, seed=seed)
    if json:
        write_json(result.to_dict())
    else:
        show_compare(result)
