"""`hfcli eval`: from a run, a recipe or flags to numbers on stdout, and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from hfcli.cli.eval_request import EvalRequest, GateFlags, SuiteFlags
from hfcli.cli.typed import command_of
from hfcli.cli.variables import command_line, in_order
from hfcli.errors import RecipeError
from hfcli.origins import as_typed, typed_at

if TYPE_CHECKING:
    from hfcli.evaluation.gates import Gates
    from hfcli.recipe.overrides import Override
    from hfcli.results import EvalResult, Listener

# What goes with --suite beside its own flags and the gates.
WITH_SUITE = {
    "target", "num_fewshot", "model", "revision", "device", "batch_size", "output_dir",
    "overwrite", "offline", "json",
}  # fmt: skip


def _evaluate(request: EvalRequest) -> None:
    from hfcli.evaluation.gates import check, parse_gates
    from hfcli.render.progress import Reporter

    gates = parse_gates(
        fail_under=request.fail_under or (),
        fail_over=request.fail_over or (),
        fail_under_ci=request.fail_under_ci or (),
        max_drop=request.max_drop or (),
        baseline=request.baseline,
    )
    refuse_without_suite(request)
    with Reporter() as listener:
        if request.suite is None:
            result = _score(request, gates, listener)
        else:
            result = score_suite(request.suite, request, listener)
    _show(result, json=request.json)
    check(gates, result.to_report())


def _score(request: EvalRequest, gates: Gates, listener: Listener) -> EvalResult:
    from hfcli.evaluation.target import Target, question_recipe, question_task, resolve_target

    target = Target(
        path=request.target,
        model=request.model,
        revision=request.revision,
        data=tuple(request.data or ()),
        task=request.task,
        values=tuple(request.values()),
    )
    name = question_task(target)
    overrides = overrides_over(target.overrides(), request)
    if name is None:
        from hfcli.fast import startup

        startup.allow()
        recipe = resolve_target(
            target=target, overrides=overrides, listener=listener, offline=request.offline
        )
    else:
        questions = question_recipe(
            name=name,
            target=target,
            overrides=overrides,
            listener=listener,
            offline=request.offline,
        )

    from hfcli.evaluation.forward import evaluate
    from hfcli.evaluation.prompt_tasks import evaluate_prompts
    from hfcli.evaluation.run import EvalOptions

    options = EvalOptions(
        output_dir=request.output_dir,
        overwrite=request.overwrite,
        offline=request.offline,
        allow_remote_metric=request.allow_remote_metric,
        command=command_line(),
        gates=gates,
        write_report=write_report,
    )
    with typed_at(request.places()):
        if name is None:
            return evaluate(recipe=recipe, listener=listener, options=options)
        return evaluate_prompts(recipe=questions, listener=listener, options=options)


def overrides_over(flags: Sequence[Override], request: EvalRequest) -> list[Override]:
    """Return the overrides that go over the flags; a variable's do not go over a typed flag."""
    environment, typed = in_order(request.overrides, request.set_)
    own = {one.key for one in flags if one.origin.startswith("--")}
    return [*(one for one in environment if one.key not in own), *typed]


def refuse_without_suite(request: EvalRequest) -> None:
    """
    Raises:
        RecipeError: flags that only a suite reads, without one.
    """
    if request.suite is not None:
        return
    for flag, value in (
        ("--suite-path", request.suite_path),
        ("--suite-limit", request.suite_limit),
    ):
        if value is not None:
            raise RecipeError(f"{as_typed(flag)} goes with --suite")


def score_suite(suite: str, request: EvalRequest, listener: Listener) -> EvalResult:
    """Run a suite of tasks that bring their own data.

    Raises:
        RecipeError: flags of a data set, which a suite brings itself.
    """
    from hfcli.evaluation.suite import SuiteOptions, evaluate_suite

    own = {one.name for group in (SuiteFlags, GateFlags) for one in fields(group)}
    for one in fields(request):
        if one.name not in WITH_SUITE | own and getattr(request, one.name):
            flag = as_typed(f"--{one.name.rstrip('_').replace('_', '-')}")
            raise RecipeError(f"{flag} does not go with --suite, whose tasks bring their own data")
    if request.target is not None and request.model is not None:
        raise RecipeError("--suite scores one model: name a folder, or give --model")
    target = None if request.target is None else str(request.target)
    return evaluate_suite(
        SuiteOptions(
            suite=suite,
            path=request.suite_path,
            limit=request.suite_limit,
            num_fewshot=request.num_fewshot,
            model=request.model or target,
            revision=request.revision,
            device=request.device,
            batch_size=request.batch_size,
            output_dir=request.output_dir,
            overwrite=request.overwrite,
            offline=request.offline,
            command=command_line(),
            write_report=write_report,
        ),
        listener,
    )


def write_report(result: EvalResult) -> None:
    """Write the reports of an evaluation beside its predictions."""
    from hfcli.evaluation.predictions import read_predictions
    from hfcli.render.report.evaluate import write_eval_report
    from hfcli.runfolder.names import PREDICTIONS_FILE

    folder = Path(result.output_dir)
    write_eval_report(folder, result.to_report(), read_predictions(folder / PREDICTIONS_FILE))


def _show(result: EvalResult, *, json: bool) -> None:
    """Write the scores on stdout."""
    from hfcli.render.streams import write_json
    from hfcli.render.tables import show_eval

    if json:
        write_json(result.to_dict())
    else:
        show_eval(result)


evaluate_command = command_of(EvalRequest, _evaluate)
