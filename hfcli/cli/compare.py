"""`hfcli compare`: from saved evaluations to their paired differences."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hfcli.cli.options import Json
from hfcli.cli.typed import command_of, option


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CompareRequest:
    """Compare evaluations of the same rows: which difference is more than chance?

    Paired: exact McNemar tests, permutations, bootstrap intervals of the differences, Holm's
    adjustment for the number of metrics, and the rows that changed.
    """

    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Two or more runs, or folders written by eval; all are compared with the first."
        ),
    ]
    flips: int = option(10, "Maximum number of changed rows to list, each way.", min=0)
    seed: int = option(0, "Random seed for permutations and bootstrap intervals.", min=0)
    json: Json = False


def _compare(request: CompareRequest) -> None:
    from hfcli.evaluation.compare import compare
    from hfcli.render.compare import show_compare
    from hfcli.render.streams import write_json

    result = compare(runs=request.runs, flips=request.flips, seed=request.seed)
    if request.json:
        write_json(result.to_dict())
    else:
        show_compare(result)


compare_command = command_of(CompareRequest, _compare)
