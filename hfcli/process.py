"""Whether a launcher started this process as one of several. Imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Mapping

from hfcli.errors import RunError

# What torchrun, accelerate launch, deepspeed and mpirun set, and what accelerate reads. Slurm's own
# variables are not among them: in a batch script they are set for a single process, too.
SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
RANKS = ("RANK", "LOCAL_RANK")


def check_single_process(environ: Mapping[str, str] = os.environ) -> None:
    """Raise where several processes would write the same files.

    Args:
        environ: of the process.

    Raises:
        RunError: a launcher started more than one process; names the variable.
    """
    for names, most in ((SIZES, 1), (RANKS, 0)):
        for name in names:
            value = environ.get(name, "").strip()
            if value and not (value.lstrip("-").isdecimal() and int(value[:9]) <= most):
                raise RunError(
                    f"hfcli runs in one process, and {name} is {value[:20]!r}: a launcher such as"
                    " torchrun or accelerate launch started several",
                    hint=f"start hfcli without a launcher, or unset {name}",
                )
