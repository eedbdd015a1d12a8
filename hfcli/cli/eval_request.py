"""The flags of `hfcli eval`, and the recipe keys whose values they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from hfcli.cli.typed import argument, option
from hfcli.origins import as_typed

if TYPE_CHECKING:
    from hfcli.recipe.overrides import Override

Limits = list[str] | None  # METRIC=VALUE


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ScoreFlags:
    """What is scored, and how: values of a recipe."""

    target: Path | None = argument(None, "A folder written by finetune, or a recipe.")
    overrides: Overrides = None
    model: Model = None
    revision: Revision = None
    data: list[str] | None = option(None, "File to evaluate on; repeatable.")
    task: str | None = option(
        None,
        "Task, such as generate-until or multiple-choice. Default: by the model.",
    )
    text_column: TextColumn = None
    label_column: LabelColumn = None
    column_names: ColumnNames = None
    encoding: Encoding = None
    on_bad_row: OnBadRow = None
    split: str | None = option(
        None, "Split to score: train, validation or test. Default: test if there is one."
    )
    metric: list[str] | None = option(None, "Shipped metric, script (.py), or Hub id; repeatable.")
    allow_remote_metric: bool = option(False, "Run metric code from the Hub.")
    context: int | None = option(None, "Perplexity: tokens of a window.", min=1)
    stride: int | None = option(None, "Perplexity: tokens from one window to the next.", min=1)
    windows: str | None = option(
        None, "Perplexity as defined by: full (every token once), hf-docs, lm-eval, llama.cpp."
    )
    prompt_column: str | None = option(None, "Prompt tasks: column of the prompt. Default: prompt.")
    reference_column: str | None = option(
        None, "generate-until: column with the right text or texts. Default: reference."
    )
    choices_column: str | None = option(
        None,
        "multiple-choice: column with a list of texts. Default: choices.",
    )
    template: Path | None = option(
        None, "Prompt tasks: file with the prompt, {column} in it for the row's values."
    )
    few_shot: str | None = option(None, "Prompt tasks: file with solved examples.")
    num_fewshot: int | None = option(None, "Number of few-shot examples per prompt.", min=1)
    max_new_tokens: MaxNewTokens = None
    temperature: float | None = option(None, "Sampling temperature. Default: greedy.", min=0)
    stop: Stop = None
    system: System = None
    chat_template: ChatTemplate = None
    seed: int | None = option(
        None,
        "Prompt tasks: random seed for sampling and bootstrap intervals. Default: 42.",
        min=0,
        max=2**32 - 1,
    )
    batch_size: int | None = option(None, "Maximum number of rows in a batch.", min=1)
    device: str | None = option(None, "auto, cpu, cuda, ... Default: auto.")
    dtype: str | None = option(
        None,
        "float32 or bfloat16 (faster, slightly different numbers). Default: float32.",
    )

    def values(self) -> "list[Override]":
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


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GateFlags:
    """Gates: limits that the scores must meet."""

    fail_under: Limits = option(
        None, "Fail (exit code 7) if a metric is below this; repeatable.", metavar="METRIC=VALUE"
    )
    fail_over: Limits = option(
        None, "Fail (exit code 7) if a metric is above this; repeatable.", metavar="METRIC=VALUE"
    )
    fail_under_ci: Limits = option(
        None,
        "Fail (exit code 7) if the interval's lower bound is below this; repeatable.",
        metavar="METRIC=VALUE",
    )
    baseline: Path | None = option(None, "report.json that --max-drop reads.")
    max_drop: Limits = option(
        None,
        "Fail (exit code 7) if it drops by more than this from --baseline; repeatable.",
        metavar="METRIC=VALUE",
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SuiteFlags:
    """Which standard tasks are run."""

    suite: str | None = option(
        None,
        "Standard tasks, by lm-evaluation-harness (pip install 'hfcli[lm-eval]').",
        metavar="lm-eval:TASK[,TASK]",
    )
    suite_path: Path | None = option(None, "Folder with your own tasks (YAML) for --suite.")
    suite_limit: int | None = option(None, "Maximum rows of each task of --suite.", min=1)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EvalRequest(GateFlags, SuiteFlags, ScoreFlags):
    """Score a model: a finished run, a recipe's, or any model on any file.

    hfcli eval runs/mine | hfcli eval recipe.yaml | hfcli eval --model M --data FILE |
    hfcli eval --model M --data FILE --task generate-until --max-new-tokens 20 |
    hfcli eval --model M --suite lm-eval:TASK
    """

    output_dir: Path | None = option(
        None,
        "Folder for predictions and report. Default: in the run, or under runs/.",
        "--output-dir",
        "-o",
    )
    overwrite: bool = option(False, "Replace another evaluation there.")
    set_: Set = None
    offline: Offline = False
    json: Json = False
