"""The flags of `hfcli eval`, and the recipe keys whose values they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfcli.cli.options import (
    ChatTemplate,
    ColumnNames,
    Encoding,
    Json,
    LabelColumn,
    MaxNewTokens,
    Model,
    Offline,
    OnBadRow,
    Overrides,
    Revision,
    Set,
    Stop,
    System,
    TextColumn,
)
from hfcli.origins import as_typed

if TYPE_CHECKING:
    from hfcli.recipe.overrides import Override

Limits = list[str] | None  # METRIC=VALUE


@dataclass(frozen=True, kw_only=True)
class ScoreFlags:
    """What is scored, and how: values of a recipe."""

    target: Annotated[
        Path | None,
        typer.Argument(help="A folder written by finetune, or a recipe.", show_default=False),
    ] = None
    overrides: Overrides = None
    model: Model = None
    revision: Revision = None
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="File to evaluate on; repeatable.", show_default=False),
    ] = None
    task: Annotated[
        str | None,
        typer.Option(
            help="Task to score. Default: that of the model's architecture. generate-until compares"
            " texts with references, multiple-choice picks the most likely of several.",
            show_default=False,
        ),
    ] = None
    text_column: TextColumn = None
    label_column: LabelColumn = None
    column_names: ColumnNames = None
    encoding: Encoding = None
    on_bad_row: OnBadRow = None
    split: Annotated[
        str | None,
        typer.Option(
            help="Split to score: train, validation or test. Default: test if there is one.",
            show_default=False,
        ),
    ] = None
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="Shipped metric, a script (.py), or Hub id; repeatable.",
            show_default=False,
        ),
    ] = None
    allow_remote_metric: Annotated[
        bool, typer.Option("--allow-remote-metric", help="Run metric code from the Hub.")
    ] = False
    context: Annotated[
        int | None,
        typer.Option(min=1, help="Perplexity: tokens of a window.", show_default=False),
    ] = None
    stride: Annotated[
        int | None,
        typer.Option(
            min=1, help="Perplexity: tokens from one window to the next.", show_default=False
        ),
    ] = None
    windows: Annotated[
        str | None,
        typer.Option(
            help="Perplexity as defined by: full (every token once), hf-docs, lm-eval, llama.cpp.",
            show_default=False,
        ),
    ] = None
    prompt_column: Annotated[
        str | None,
        typer.Option(
            help="Prompt tasks: column with the prompt. Default: prompt.", show_default=False
        ),
    ] = None
    reference_column: Annotated[
        str | None,
        typer.Option(
            help="generate-until: column with the right text, or a list of them."
            " Default: reference.",
            show_default=False,
        ),
    ] = None
    choices_column: Annotated[
        str | None,
        typer.Option(
            help="multiple-choice: column with a list of texts; --label is the right one."
            " Default: choices.",
            show_default=False,
        ),
    ] = None
    template: Annotated[
        Path | None,
        typer.Option(
            help="Prompt tasks: file with the prompt, {column} in it for the row's values.",
            show_default=False,
        ),
    ] = None
    few_shot: Annotated[
        str | None,
        typer.Option(help="Prompt tasks: file with solved examples.", show_default=False),
    ] = None
    num_fewshot: Annotated[
        int | None,
        typer.Option(min=1, help="Number of few-shot examples per prompt.", show_default=False),
    ] = None
    max_new_tokens: MaxNewTokens = None
    temperature: Annotated[
        float | None,
        typer.Option(min=0, help="Sampling temperature. Default: greedy.", show_default=False),
    ] = None
    stop: Stop = None
    system: System = None
    chat_template: ChatTemplate = None
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**32 - 1,
            help="Prompt tasks: random seed for sampling and bootstrap intervals. Default: 42.",
            show_default=False,
        ),
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum number of rows in a batch.", show_default=False),
    ] = None
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, ... Default: auto.", show_default=False)
    ] = None
    dtype: Annotated[
        str | None,
        typer.Option(
            help="float32 (default) or bfloat16: several times faster on CPUs that support it,"
            " with slightly different numbers.",
            show_default=False,
        ),
    ] = None

    def values(self) -> list[Override]:
        """Return the flags that give values of recipe keys.

        Raises:
            RecipeError: --column-names are not names, or a stop string is empty.
            DataError: the template cannot be read.
        """
        from hfcli.recipe.overrides import Override

        return [Override.of_flag(*one) for one in self._values() if one[2] not in (None, [])]

    def places(self) -> dict[str, str]:
        """Return how errors call recipe keys: by the flag where it was typed, else beside it."""
        return {
            key: as_typed(flag)
            if self.target is None or value not in (None, [])
            else f"{key} ({flag})"
            for flag, key, value in self._values()
        }

    def _values(self) -> list[tuple[str, str, Any]]:
        """Return (flag, key, value); the value is None or [] where it was not typed."""
        from hfcli.cli.validate import read_text, stop_strings
        from hfcli.recipe.overrides import split_names

        names, template = self.column_names, self.template
        return [
            ("--text-column", "task.text_column", self.text_column),
            ("--label-column", "task.label_column", self.label_column),
            (
                "--column-names",
                "data.column_names",
                None if names is None else split_names(names, "--column-names"),
            ),
            ("--encoding", "data.encoding", self.encoding),
            ("--on-bad-row", "data.on_bad_row", self.on_bad_row),
            ("--split", "evaluation.split", self.split),
            ("--metric", "evaluation.metrics", self.metric),
            ("--context", "task.context", self.context),
            ("--stride", "task.stride", self.stride),
            ("--windows", "task.windows", self.windows),
            ("--prompt-column", "task.prompt_column", self.prompt_column),
            ("--reference-column", "task.reference_column", self.reference_column),
            ("--choices-column", "task.choices_column", self.choices_column),
            ("--template", "task.template", template and read_text(template)),
            ("--few-shot", "task.few_shot", self.few_shot),
            ("--num-fewshot", "task.num_fewshot", self.num_fewshot),
            ("--max-new-tokens", "generation.max_new_tokens", self.max_new_tokens),
            ("--temperature", "generation.temperature", self.temperature),
            ("--stop", "task.stop", list(stop_strings(self.stop))),
            ("--system", "task.system", self.system),
            ("--chat-template", "task.chat_template", self.chat_template),
            ("--seed", "seed", self.seed),
            ("--batch-size", "evaluation.batch_size", self.batch_size),
            ("--device", "device", self.device),
            ("--dtype", "model.dtype", self.dtype),
        ]


@dataclass(frozen=True, kw_only=True)
class GateFlags:
    """What is asked of the scores."""

    fail_under: Annotated[
        Limits,
        typer.Option(
            metavar="METRIC=VALUE",
            help="Fail (exit code 7) if a metric is below this; repeatable.",
            show_default=False,
        ),
    ] = None
    fail_over: Annotated[
        Limits,
        typer.Option(
            metavar="METRIC=VALUE",
            help="Fail (exit code 7) if a metric is above this; repeatable.",
            show_default=False,
        ),
    ] = None
    fail_under_ci: Annotated[
        Limits,
        typer.Option(
            metavar="METRIC=VALUE",
            help="Fail (exit code 7) if the interval's lower bound is below this; repeatable.",
            show_default=False,
        ),
    ] = None
    baseline: Annotated[
        Path | None, typer.Option(help="report.json that --max-drop reads.", show_default=False)
    ] = None
    max_drop: Annotated[
        Limits,
        typer.Option(
            metavar="METRIC=VALUE",
            help="Fail (exit code 7) if a metric drops by more than this from --baseline;"
            " repeatable.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SuiteFlags:
    """Which standard tasks are run."""

    suite: Annotated[
        str | None,
        typer.Option(
            metavar="lm-eval:TASK[,TASK]",
            help="Standard tasks, by lm-evaluation-harness (pip install 'hfcli[lm-eval]').",
            show_default=False,
        ),
    ] = None
    suite_path: Annotated[
        Path | None,
        typer.Option(help="Folder with your own tasks (YAML) for --suite.", show_default=False),
    ] = None
    suite_limit: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum rows of each task of --suite.", show_default=False),
    ] = None


@dataclass(frozen=True, kw_only=True)
class EvalRequest(GateFlags, SuiteFlags, ScoreFlags):
    """Score a model: a finished run, a recipe's, or any model on any file.

    hfcli eval runs/mine | hfcli eval recipe.yaml | hfcli eval --model M --data FILE |
    hfcli eval --model M --data FILE --task generate-until --max-new-tokens 20 |
    hfcli eval --model M --suite lm-eval:TASK
    """

    output_dir: Annotated[
        Path | None,
        typer.Option(
            "--output-dir",
            "-o",
            help="Folder for predictions and report. Default: in the run, or runs/eval-MODEL-DATA.",
            show_default=False,
        ),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another evaluation there.")
    ] = False
    set_: Set = None
    offline: Offline = False
    json: Json = False
