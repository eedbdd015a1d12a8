"""`hfcli eval`: from a run, a recipe or flags to numbers on stdout, and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfcli.cli import eval_options, options
from hfcli.cli.variables import command_line, in_order, parameters_in_force

GATES = ("fail_under", "fail_over", "fail_under_ci", "max_drop")

if TYPE_CHECKING:
    from hfcli.evaluation.gates import Gates
    from hfcli.evaluation.run import EvalOptions
    from hfcli.results import EvalResult, Listener


def evaluate_command(
    context_: typer.Context,
    target: Annotated[
        Path | None,
        typer.Argument(help="A folder written by finetune, or a recipe.", show_default=False),
    ] = None,
    overrides: options.Overrides = None,
    model: options.Model = None,
    revision: options.Revision = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="File to evaluate on; repeatable.", show_default=False),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Default: what the model's architecture is for. generate-until compares texts"
            " with references, multiple-choice picks the likeliest of several.",
            show_default=False,
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option("--text-column", "--text", show_default=False)
    ] = None,
    label_column: Annotated[
        str | None, typer.Option("--label-column", "--label", show_default=False)
    ] = None,
    column_names: Annotated[
        str | None,
        typer.Option(
            help="Names for the columns of files without a header line: text,label.",
            show_default=False,
        ),
    ] = None,
    encoding: options.Encoding = None,
    on_bad_row: options.OnBadRow = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="train, validation or test. Default: test if there is one.", show_default=False
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="Shipped metric, a script (.py), or Hub id; repeatable.",
            show_default=False,
        ),
    ] = None,
    allow_remote_metric: Annotated[
        bool, typer.Option("--allow-remote-metric", help="Run metric code from the Hub.")
    ] = False,
    context: eval_options.Context = None,
    stride: eval_options.Stride = None,
    windows: eval_options.Windows = None,
    prompt_column: eval_options.PromptColumn = None,
    reference_column: eval_options.ReferenceColumn = None,
    choices_column: eval_options.ChoicesColumn = None,
    template: Annotated[
        Path | None,
        typer.Option(
            help="Questions: file with the prompt, {column} in it for the row's values.",
            show_default=False,
        ),
    ] = None,
    few_shot: eval_options.FewShot = None,
    num_fewshot: eval_options.NumFewshot = None,
    max_new_tokens: options.MaxNewTokens = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="Sample texts. Default: greedy.", show_default=False)
    ] = None,
    stop: options.Stop = None,
    system: options.System = None,
    chat_template: options.ChatTemplate = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="Of draws. Default: 42.", show_default=False),
    ] = None,
    suite: eval_options.Suite = None,
    suite_path: eval_options.SuitePath = None,
    suite_limit: eval_options.SuiteLimit = None,
    batch_size: Annotated[int | None, typer.Option(min=1, show_default=False)] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, ...", show_default=False)
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="float32 (default), or bfloat16: several times as fast where the processor has it,"
            " in other digits.",
            show_default=False,
        ),
    ] = None,
    fail_under: eval_options.FailUnder = None,
    fail_over: eval_options.FailOver = None,
    fail_under_ci: eval_options.FailUnderCi = None,
    baseline: eval_options.Baseline = None,
    max_drop: eval_options.MaxDrop = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            "--output-dir",
            "-o",
            help="Where predictions and report go. Default: in the run, or runs/eval-MODEL-DATA.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another evaluation there.")
    ] = False,
    set_: options.Set = None,
    offline: options.Offline = False,
    json: options.Json = False,
) -> None:
    """Score a model: a finished run, a recipe's, or any model on any file.

    hfcli eval runs/mine | hfcli eval recipe.yaml | hfcli eval --model M --data FILE |
    hfcli eval --model M --data FILE --task generate-until --max-new-tokens 20 |
    hfcli eval --model M --suite lm-eval:TASK
    """
    _evaluate(dict(context_.params))


def _evaluate(flags: dict[str, Any]) -> None:
    from hfcli.cli.suite import refuse_without_suite
    from hfcli.evaluation.gates import check, parse_gates
    from hfcli.render.progress import Reporter

    gates = parse_gates(**{name: flags[name] or () for name in GATES}, baseline=flags["baseline"])
    refuse_without_suite(flags)
    with Reporter() as listener:
        result = _result(flags, gates, listener)
    _show(result, json=flags["json"])
    check(gates, result.to_report())


def _result(flags: dict[str, Any], gates: Gates, listener: Listener) -> EvalResult:
    from hfcli.cli.suite import score_suite
    from hfcli.evaluation.question_target import question_task

    if flags["suite"]:
        return score_suite(flags, listener)
    name = question_task(flags)
    asked = _options(flags, gates)
    if name is None:
        return _scored(flags, asked, listener)
    return _ask(name, flags, asked, listener)


def _scored(flags: dict[str, Any], asked: EvalOptions, listener: Listener) -> EvalResult:
    from dataclasses import fields

    from hfcli.evaluation.target import EvalFlags, resolve_target
    from hfcli.fast import startup as lean

    lean.allow()
    given: dict[str, Any] = {name: flags.get(name) for name in (f.name for f in fields(EvalFlags))}
    given |= {"data": tuple(flags["data"] or ()), "metrics": tuple(flags["metric"] or ())}
    typed = EvalFlags(**given)
    recipe = resolve_target(
        target=flags["target"],
        flags=typed,
        overrides=_overrides(flags),
        listener=listener,
        offline=flags["offline"],
    )

    from hfcli.evaluation.run import evaluate

    with typed.named_as_typed(recipe=flags["target"] is not None):
        return evaluate(recipe=recipe, listener=listener, options=asked)


def _ask(name: str, flags: dict[str, Any], asked: EvalOptions, listener: Listener) -> EvalResult:
    from hfcli.cli.questions import Asked, ask_questions, recipe_of

    recipe = recipe_of(name, flags, _overrides(flags), listener)
    return ask_questions(Asked(recipe, asked, listener))


def _overrides(flags: dict[str, Any]) -> list[str]:
    """What was typed over the recipe's values, and of a variable what no typed flag sets."""
    from hfcli.evaluation.question_target import KEYS
    from hfcli.evaluation.target import FLAGS

    environment, typed = in_order(flags["overrides"], flags["set_"])
    if not environment:
        return typed
    by_flag = {name: ".".join(filter(None, key)) for name, key in KEYS.items()}
    by_flag |= {flag[2:].replace("-", "_"): key for key, flag in FLAGS.items()}
    by_variable = parameters_in_force()
    own = {
        key
        for name, key in by_flag.items()
        if flags.get(name) not in (None, [], ()) and name not in by_variable
    }
    return [*(one for one in environment if one.partition("=")[0] not in own), *typed]


def _options(flags: dict[str, Any], gates: Gates) -> EvalOptions:
    from hfcli.evaluation.run import EvalOptions

    return EvalOptions(
        output_dir=flags["output_dir"],
        overwrite=flags["overwrite"],
        offline=flags["offline"],
        allow_remote_metric=flags["allow_remote_metric"],
        command=command_line(),
        gates=gates,
        write_report=write_report,
    )


def write_report(result: EvalResult) -> None:
    """Write the reports of an evaluation beside its predictions."""
    from hfcli.evaluation.outcomes import PREDICTIONS_FILE, read_predictions
    from hfcli.render.report.evaluate import write_eval_report

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
