"""`hfcli eval --suite`: flags -> a suite of tasks that bring their own data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfcli.cli.variables import command_line

if TYPE_CHECKING:
    from hfcli.results import EvalResult, Listener

# Flags of `hfcli eval` that go with a suite.
OWN = ("suite", "suite_path", "suite_limit")
TAKEN = ("model", "revision", "device", "batch_size", "output_dir", "overwrite", "offline")
ELSEWHERE = ("json", "fail_under", "fail_over", "fail_under_ci", "baseline", "max_drop")
FEW_SHOT = "num_fewshot"


def refuse_without_suite(flags: Mapping[str, Any]) -> None:
    """
    Raises:
        RecipeError: flags that only a suite reads, without one.
    """
    from hfcli.errors import RecipeError

    for name in OWN[1:]:
        if flags[name] is not None and not flags["suite"]:
            raise RecipeError(f"--{name.replace('_', '-')} goes with --suite")


def score_suite(flags: Mapping[str, Any], listener: Listener) -> EvalResult:
    """Run the suite that the flags name.

    Raises:
        RecipeError: flags of a data set, which a suite brings itself.
    """
    from hfcli.cli.evaluate import write_report
    from hfcli.errors import RecipeError
    from hfcli.evaluation.suite import SuiteOptions, evaluate_suite

    fitting = {"target", FEW_SHOT, *OWN, *TAKEN, *ELSEWHERE}
    other = [name for name, value in flags.items() if name not in fitting and value]
    if other:
        flag = other[0].rstrip("_").replace("_", "-")
        raise RecipeError(f"--{flag} does not go with --suite, whose tasks bring their own data")
    target = flags["target"]
    if target is not None and flags["model"] is not None:
        raise RecipeError("--suite scores one model: name a folder, or give --model")
    options = {name: flags[name] for name in TAKEN}
    options |= {"model": flags["model"] or (None if target is None else str(target))}
    return evaluate_suite(
        SuiteOptions(
            suite=flags["suite"],
            path=flags["suite_path"],
            limit=flags["suite_limit"],
            num_fewshot=flags.get(FEW_SHOT),
            command=command_line(),
            write_report=write_report,
            **options,
        ),
        listener,
    )
